//! Which thread runs the loop, as it shows from outside: the thread on which the logs
//! are opened again.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use monoceros_engine::{RequestSource, Wait};
use monoceros_sys::thread::id;
use monoceros_wire::message::ToWorker;

use crate::options::options;
use crate::running::{DEADLINE, RunningEngine, some};

/// Connections of the test's client.
const CONNECTIONS: usize = 32;

/// Requests that each connection has under way: the next one has arrived when one gets
/// its response.
const AHEAD: usize = 4;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// The body of a response; the rest of a response does not have this byte.
const BODY: u8 = b'~';

/// The application's only thread.
#[derive(Default)]
struct StallingApplication {
    /// Its kernel number.
    id: AtomicU32,
    /// The thread that ran the loop last.
    runner: AtomicU32,
    /// The next request takes until another thread runs the loop. From then on no
    /// request ends before the next has begun.
    is_to_stall: AtomicBool,
}

impl StallingApplication {
    fn has_the_loop(&self) -> bool {
        self.runner.load(Ordering::SeqCst) == self.id.load(Ordering::SeqCst)
    }

    fn serve(&self, requests: &RequestSource) {
        let (mut keeps, mut kept) = (false, None);
        loop {
            while let Some(mut exchange) = requests.next() {
                if self.is_to_stall.swap(false, Ordering::SeqCst) {
                    some("the I/O thread's turn", || (!self.has_the_loop()).then_some(()));
                    keeps = true;
                }
                exchange.begin(b"200 OK").unwrap();
                exchange.write(&[BODY], None, Some(1)).ok();
                let over = if keeps { kept.replace(exchange) } else { Some(exchange) };
                over.into_iter().for_each(|it| it.finish(&|_| None));
            }
            if requests.wait() == Wait::Stop {
                return;
            }
        }
    }
}

/// Waits for at least one response. Returns how many have arrived.
fn answers(client: &mut TcpStream) -> usize {
    let mut bytes = [0; 4096];
    loop {
        let length = client.read(&mut bytes).unwrap();
        assert!(length > 0, "the connection has ended");
        let count = bytes[..length].iter().filter(|byte| **byte == BODY).count();
        if count > 0 {
            return count;
        }
    }
}

fn connect(engine: &RunningEngine) -> TcpStream {
    let mut client = TcpStream::connect(engine.address).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client.write_all(REQUEST).unwrap();
    answers(&mut client);
    client
}

/// Sends requests without a pause, until it is `over`.
fn ask(clients: &mut [TcpStream], over: &AtomicBool) {
    clients.iter_mut().for_each(|client| client.write_all(&REQUEST.repeat(AHEAD)).unwrap());
    while !over.load(Ordering::SeqCst) {
        for client in &mut *clients {
            let count = answers(client);
            client.write_all(&REQUEST.repeat(count)).unwrap();
        }
    }
}

/// Sets the flag when it is dropped, also after a failure.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The application has a request at every moment. If that kept the I/O thread from
/// giving the loop back, it would never give it back.
#[test]
fn the_loop_is_given_back_while_requests_queue_up() {
    let application = Arc::new(StallingApplication::default());
    let shown = Arc::clone(&application);
    let reopen = move || shown.runner.store(id(), Ordering::SeqCst);
    let engine = RunningEngine::start("loop_owner", options(), reopen);
    let (worker, serving) = (engine.worker.clone(), Arc::clone(&application));
    thread::spawn(move || {
        serving.id.store(id(), Ordering::SeqCst);
        serving.serve(&worker.requests(0));
    });
    let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| connect(&engine)).collect();
    // A full channel means that the last message was not read yet.
    let look = || drop(engine.master.send(&ToWorker::Reopen));
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _end = End(&over);
        scope.spawn(|| ask(&mut clients, &over));
        let has_stalled = || !application.is_to_stall.load(Ordering::SeqCst);
        application.is_to_stall.store(true, Ordering::SeqCst);
        for (who, is_application) in [("I/O thread", false), ("application", true)] {
            some(&format!("a loop run by the {who}"), || {
                look();
                (has_stalled() && application.has_the_loop() == is_application).then_some(())
            });
        }
    });
}
