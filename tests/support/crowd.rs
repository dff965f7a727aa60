//! Clients of a server that is about to stop: each one that has connected must get a
//! response.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::client::{Connection, get};
use super::until;

/// Clients that make a new connection for each request, without a pause, until they cannot
/// connect any more.
pub(crate) struct Crowd {
    answers: Arc<AtomicUsize>,
    visitors: Vec<JoinHandle<Option<String>>>,
}

/// The maximum time to connect: shorter than the second after which a client's system sends
/// its SYN again, since the server may be closed by then.
const PATIENCE: Duration = Duration::from_millis(500);

/// A worker that stops waits a little longer than this for the request of a connected
/// client. If the machine does not run the client for longer, the worker may close the
/// connection.
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

    /// Waits until this number of requests has been answered.
    pub(crate) fn wait_for(&self, count: usize) {
        until::holds("answers", || self.answers.load(Ordering::Relaxed) >= count);
    }

    /// Waits until no client can connect any more, and checks that each connected client
    /// has got a response.
    pub(crate) fn disperse(self) {
        let lost = self.visitors.into_iter().filter_map(|visitor| visitor.join().unwrap());
        let (lost, answers) = (lost.collect::<Vec<_>>(), self.answers.load(Ordering::Relaxed));
        let (count, first) = (lost.len(), lost.first());
        assert_eq!(first, None, "{count} lost beside {answers} answered");
    }
}

/// Sends requests until nothing listens; returns the error of a connected client.
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
