//! Clients at a server that is about to stop: each one that has connected is answered.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::client::{Connection, get};
use super::until;

/// Clients that make a connection for each request, without a pause, until they
/// cannot connect any more.
pub(crate) struct Crowd {
    answers: Arc<AtomicUsize>,
    visitors: Vec<JoinHandle<Option<String>>>,
}

/// Shorter than the second after which a client says again that it wants to
/// connect: by then it would only be refused.
const PATIENCE: Duration = Duration::from_millis(500);

/// A worker that stops waits for so long, and a little more, for clients that have
/// connected and not asked yet. If the machine does not run these for longer, they
/// may be closed.
const LAST_CALL: Duration = Duration::from_millis(40);

impl Crowd {
    pub(crate) fn gather(address: SocketAddr, size: usize) -> Self {
        let answers = Arc::new(AtomicUsize::new(0));
        let visitor = |_| {
            let answers = Arc::clone(&answers);
            thread::spawn(move || visit(address, &answers))
        };
        let visitors = (0..size).map(visitor).collect();
        Self { answers, visitors }
    }

    /// Waits until so many requests have been answered.
    pub(crate) fn wait_for(&self, count: usize) {
        until::holds("answers", || self.answers.load(Ordering::Relaxed) >= count);
    }

    /// Waits until no client can connect any more; each one that could must have
    /// been answered.
    pub(crate) fn disperse(self) {
        let lost = self.visitors.into_iter().filter_map(|visitor| visitor.join().unwrap());
        let (lost, answers) = (lost.collect::<Vec<_>>(), self.answers.load(Ordering::Relaxed));
        let (count, first) = (lost.len(), lost.first());
        assert_eq!(first, None, "{count} lost beside {answers} answered");
    }
}

/// Asks until nothing listens; returns what went wrong after it had connected.
fn visit(address: SocketAddr, answers: &AtomicUsize) -> Option<String> {
    loop {
        let begun = Instant::now();
        let stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
        let mut connection = Connection::over(stream).unwrap();
        let sent = connection.send_if_taken(get("/"));
        let is_late = begun.elapsed() > LAST_CALL;
        match sent.and_then(|()| connection.try_response("GET")) {
            Err(_) if is_late => 0,
            Ok(response) if response.status == 200 => answers.fetch_add(1, Ordering::Relaxed),
            Ok(response) => return Some(format!("{response:?}")),
            Err(error) => return Some(error.to_string()),
        };
    }
}
