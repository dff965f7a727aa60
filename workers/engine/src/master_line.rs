//! Requests of this worker to the master that wait for a reply. A background thread asks and
//! waits; the loop, which reads the channel, delivers the reply.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use monoceros_wire::channel::WorkerEnd;
use monoceros_wire::message::FromWorker;

use crate::handoff::wait::lock;

/// How long a reply is waited for. The master replies within milliseconds, unless it is stopped.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many requests may wait: fewer than there are background threads, which files need too.
const MOST: usize = 2;
/// The longest text that is read.
const LIMIT: u64 = 64 << 20;

/// The way to the master for requests with a reply. Copies share it.
#[derive(Clone, Debug)]
pub struct MasterLine(Arc<LineState>);

#[derive(Debug)]
struct LineState {
    /// A copy of the worker's end of the channel.
    channel: Mutex<WorkerEnd>,
    waiting: Mutex<WaitingAsks>,
    /// A reply has arrived.
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct WaitingAsks {
    last: u64,
    asks: Vec<(u64, Option<MetricsReply>)>,
}

/// The metrics of the whole server.
#[derive(Debug)]
pub struct MetricsReply {
    /// Their media type.
    pub content_type: String,
    file: File,
}

impl MetricsReply {
    /// The text.
    ///
    /// # Errors
    /// Those of `read(2)`.
    pub fn read(mut self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        self.file.rewind()?;
        self.file.take(LIMIT).read_to_end(&mut text)?;
        Ok(text)
    }
}

impl MasterLine {
    /// With a copy of the worker's end of the channel.
    #[must_use]
    pub fn new(channel: WorkerEnd) -> Self {
        let (channel, waiting) = (Mutex::new(channel), Mutex::default());
        Self(Arc::new(LineState { channel, waiting, arrived: Condvar::new() }))
    }

    /// Asks for the metrics, for a client with these Accept fields, and waits for them. Must not
    /// be called by the thread that runs the loop.
    ///
    /// # Errors
    /// Those of sending; `TimedOut` if the master does not reply, `WouldBlock` if too many
    /// requests wait.
    pub fn ask_metrics(&self, accept: String) -> io::Result<MetricsReply> {
        let LineState { channel, waiting, arrived } = &*self.0;
        let mut state = lock(waiting);
        if state.asks.len() >= MOST {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.last += 1;
        let number = state.last;
        state.asks.push((number, None));
        drop(state);
        let sent = lock(channel).send(&FromWorker::AskMetrics { number, accept });
        let until = Instant::now() + PATIENCE;
        let mut state = lock(waiting);
        loop {
            let place = state.asks.iter().position(|(asked, _)| *asked == number);
            let left = until.saturating_duration_since(Instant::now());
            let is_replied = place.is_some_and(|place| state.asks[place].1.is_some());
            if is_replied || left.is_zero() || sent.is_err() {
                let reply = place.and_then(|place| state.asks.swap_remove(place).1);
                sent?;
                return reply.ok_or_else(|| io::ErrorKind::TimedOut.into());
            }
            state = arrived
                .wait_timeout(state, left)
                .map_or_else(|poisoned| PoisonError::into_inner(poisoned).0, |(state, _)| state);
        }
    }

    /// A reply of the master. One that is not waited for any more is dropped.
    pub(crate) fn deliver(&self, number: u64, content_type: String, files: Vec<OwnedFd>) {
        let Some(file) = files.into_iter().next().map(File::from) else { return };
        let mut state = lock(&self.0.waiting);
        if let Some((_, reply)) = state.asks.iter_mut().find(|(asked, _)| *asked == number) {
            *reply = Some(MetricsReply { content_type, file });
            self.0.arrived.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use monoceros_sys::memory;
    use monoceros_wire::channel::{Incoming, MasterEnd, pair};

    use super::*;

    fn take(master: &MasterEnd) -> (u64, String) {
        loop {
            match master.receive().unwrap() {
                Incoming::Message(FromWorker::AskMetrics { number, accept }) => {
                    break (number, accept);
                }
                Incoming::Nothing => std::thread::yield_now(),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn each_request_gets_its_own_reply() {
        let (master, worker) = pair().unwrap();
        let line = MasterLine::new(worker);
        let ask = |accept: &str| {
            let (line, accept) = (line.clone(), accept.to_owned());
            std::thread::spawn(move || line.ask_metrics(accept))
        };
        let one = ask("a");
        let first = take(&master);
        let other = ask("b");
        let second = take(&master);
        assert_eq!((first.1.as_str(), second.1.as_str()), ("a", "b"));
        let busy = line.ask_metrics(String::new()).unwrap_err();
        assert_eq!(busy.kind(), io::ErrorKind::WouldBlock);
        line.deliver(99, String::new(), Vec::new());
        for (number, text) in [(second.0, "two"), (first.0, "one")] {
            let file = memory::sealed_file("test", text.as_bytes()).unwrap();
            line.deliver(number, format!("text/{text}"), vec![file.into()]);
        }
        for (asked, text) in [(one, "one"), (other, "two")] {
            let reply = asked.join().unwrap().unwrap();
            assert_eq!(reply.content_type, format!("text/{text}"));
            assert_eq!(reply.read().unwrap(), text.as_bytes());
        }
        assert!(lock(&line.0.waiting).asks.is_empty());
    }

    #[test]
    fn a_master_that_is_gone_is_an_error_at_once() {
        let (master, worker) = pair().unwrap();
        drop(master);
        let error = MasterLine::new(worker).ask_metrics(String::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
