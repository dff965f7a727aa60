//! Clients that send requests without a pause and without retries, and count failures.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use super::client::{Connection, get};
use super::until;

/// The results of the clients.
#[derive(Default)]
struct Tally {
    stop: AtomicBool,
    answers: AtomicUsize,
}

/// Clients that run until [`Load::finish`].
pub(crate) struct Load {
    tally: Arc<Tally>,
    clients: Vec<JoinHandle<(BTreeSet<String>, Vec<String>)>>,
}

impl Load {
    /// Starts the clients. Half of them keep their connection; the others make a new one for
    /// each request.
    pub(crate) fn start(address: SocketAddr, clients: usize) -> Self {
        Self::through(clients, move || Connection::tcp(address))
    }

    /// The same for clients that connect in this way, such as with TLS.
    pub(crate) fn through(
        clients: usize,
        connect: impl Fn() -> io::Result<Connection> + Send + Sync + 'static,
    ) -> Self {
        let tally = Arc::new(Tally::default());
        let connect = Arc::new(connect);
        let start = |number| {
            let (tally, connect) = (Arc::clone(&tally), Arc::clone(&connect));
            thread::spawn(move || ask(&*connect, number % 2 == 0, &tally))
        };
        let clients = (0..clients).map(start).collect();
        Self { tally, clients }
    }

    /// The number of requests that have been answered.
    pub(crate) fn answered(&self) -> usize {
        self.tally.answers.load(Ordering::Relaxed)
    }

    /// Waits until this number of further requests has been answered.
    pub(crate) fn proceed(&self, count: usize) {
        let goal = self.answered() + count;
        let reached = || self.answered() >= goal;
        let ended = || self.clients.iter().all(JoinHandle::is_finished);
        until::holds("answers to the clients", || reached() || ended());
    }

    /// Ends the clients, and checks that no request has failed. Returns the different bodies
    /// of the responses.
    pub(crate) fn finish(self) -> BTreeSet<String> {
        self.end().0
    }

    /// As above. Returns how many requests have been answered.
    pub(crate) fn count(self) -> u64 {
        self.end().1 as u64
    }

    fn end(mut self) -> (BTreeSet<String>, usize) {
        self.tally.stop.store(true, Ordering::Relaxed);
        let mut seen = BTreeSet::new();
        let mut failures = Vec::new();
        for client in std::mem::take(&mut self.clients) {
            let (bodies, failed) = client.join().unwrap();
            seen.extend(bodies);
            failures.extend(failed);
        }
        let answers = self.tally.answers.load(Ordering::Relaxed);
        assert!(failures.is_empty(), "{} failed beside {answers}: {failures:?}", failures.len());
        (seen, answers)
    }
}

impl Drop for Load {
    /// Also of a test that has failed: the port may be that of another one next.
    fn drop(&mut self) {
        self.tally.stop.store(true, Ordering::Relaxed);
    }
}

fn ask(
    connect: &dyn Fn() -> io::Result<Connection>,
    keeps: bool,
    tally: &Tally,
) -> (BTreeSet<String>, Vec<String>) {
    let mut seen = BTreeSet::new();
    let mut failures = Vec::new();
    let mut kept = None;
    while !tally.stop.load(Ordering::Relaxed) && failures.len() < 5 {
        let answer = kept.take().map_or_else(connect, Ok).and_then(|mut c| {
            c.send_if_taken(get("/"))?;
            let response = c.try_response("GET")?;
            Ok((c, response))
        });
        match answer {
            Ok((connection, response)) if response.status == 200 => {
                kept = (keeps && !response.closes()).then_some(connection);
                seen.insert(response.text());
                tally.answers.fetch_add(1, Ordering::Relaxed);
            }
            Ok((_, response)) => failures.push(format!("{response:?}")),
            Err(error) => failures.push(error.to_string()),
        }
    }
    (seen, failures)
}
