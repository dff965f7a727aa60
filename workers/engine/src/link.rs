//! The part of a connection that both sides of a worker hold.
//!
//! At each moment one side owns the connection: the I/O thread while it reads,
//! an application thread while it answers. The owner changes hands without a
//! message in the usual case, by one atomic word.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use monoceros_sys::clock::monotonic_ms;
use monoceros_sys::fork::Private;

use crate::outgoing::{Flushed, Outgoing};

/// The I/O thread owns the connection.
const IO: u8 = 0;
/// The application side owns it.
const BUSY: u8 = 1;
/// The application side owns it, and the I/O thread has something to do with
/// it as soon as it is free.
const BUSY_WANTED: u8 = 2;

/// Nothing of the answer has gone.
const OPEN: u8 = 0;
/// The application side has the right to write the answer, for good.
const BEGUN: u8 = 1;
/// It has given the whole answer.
const GIVEN: u8 = 2;
/// The I/O thread has taken the right to answer.
const EXPIRED: u8 = 3;

/// Where a listener, or a connection's own side, is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP address as text, and the port.
    Internet {
        /// The address, without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A unix socket; the path, `@name`, or nothing.
    Unix(String),
}

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Internet { host, port } if host.contains(':') => {
                write!(formatter, "[{host}]:{port}")
            }
            Self::Internet { host, port } => write!(formatter, "{host}:{port}"),
            Self::Unix(path) => write!(formatter, "unix:{path}"),
        }
    }
}

/// What becomes of a connection after the application's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// The next request is read.
    KeepAlive,
    /// The connection is closed when everything has been written.
    Close,
    /// The same, but the client may still be sending what nobody reads: its
    /// bytes are thrown away for a while.
    Linger,
    /// The connection is closed at once: the answer is broken, and the client
    /// sees that by its framing.
    Abort,
    /// The same for an answer that ends with the connection: only a reset tells
    /// the client that it is broken.
    Reset,
}

/// What an application thread and the I/O thread share of a connection.
#[derive(Debug)]
pub(crate) struct Link {
    fd: Private,
    /// Where the I/O thread keeps its part.
    pub(crate) token: usize,
    /// Who is at the other end.
    pub(crate) peer: Address,
    /// Our own end.
    pub(crate) local: Arc<Address>,
    owner: AtomicU8,
    /// Who may write the answer to the request that the connection is lent for.
    answer: AtomicU8,
    finished_ms: AtomicU64,
    leftover: Mutex<Leftover>,
    written: Condvar,
}

/// What the I/O thread is to write for the application side.
#[derive(Debug, Default)]
pub(crate) struct Leftover {
    /// What waits.
    pub(crate) outgoing: Outgoing,
    /// Set when the application side is through with the connection.
    pub(crate) after: Option<After>,
    /// The client cannot be written to any more.
    pub(crate) failed: bool,
    /// When a byte last went out, for the write timeout.
    pub(crate) progress_ms: u64,
    /// The application side waits for room: waking costs a call.
    awaited: bool,
}

impl Link {
    pub(crate) fn new(fd: OwnedFd, token: usize, peer: Address, local: Arc<Address>) -> Self {
        Self {
            fd: fd.into(),
            token,
            peer,
            local,
            owner: AtomicU8::new(IO),
            answer: AtomicU8::new(OPEN),
            finished_ms: AtomicU64::new(0),
            leftover: Mutex::default(),
            written: Condvar::new(),
        }
    }

    /// Hands the connection to the application side. `wanted` says that more
    /// input waits already, so that the I/O thread wants it back by message.
    pub(crate) fn lend(&self, wanted: bool) {
        self.answer.store(OPEN, Ordering::Relaxed);
        self.owner.store(if wanted { BUSY_WANTED } else { BUSY }, Ordering::Release);
    }

    /// The application side is about to write the answer. `false`: the I/O
    /// thread has answered for it, and nothing may be written any more.
    pub(crate) fn begin_answer(&self) -> bool {
        self.answer.compare_exchange(OPEN, BEGUN, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The application side has given the whole answer.
    pub(crate) fn give_answer(&self) {
        self.answer.store(GIVEN, Ordering::Release);
    }

    /// The I/O thread is about to answer for the application side.
    pub(crate) fn expire(&self) -> Expiry {
        let answer = &self.answer;
        match answer.compare_exchange(OPEN, EXPIRED, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Expiry::Unanswered,
            Err(GIVEN) => Expiry::Answered,
            Err(_) => Expiry::Begun,
        }
    }

    /// The application side gives the connection back now, without a message.
    /// `false`: the I/O thread has to be told, and owns it only then.
    pub(crate) fn give_back(&self, now_ms: u64) -> bool {
        self.finished_ms.store(now_ms, Ordering::Relaxed);
        self.owner.compare_exchange(BUSY, IO, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The I/O thread takes the connection, having been told that it may:
    /// whether more input was announced meanwhile.
    pub(crate) fn take(&self) -> bool {
        self.owner.swap(IO, Ordering::AcqRel) == BUSY_WANTED
    }

    /// An event has come: whether the I/O thread owns the connection. If not,
    /// it will be told when it does.
    pub(crate) fn want(&self) -> bool {
        let wanted =
            self.owner.compare_exchange(BUSY, BUSY_WANTED, Ordering::AcqRel, Ordering::Acquire);
        wanted == Err(IO)
    }

    /// Whether the I/O thread owns the connection.
    pub(crate) fn is_free(&self) -> bool {
        self.owner.load(Ordering::Acquire) == IO
    }

    /// When the application side last gave the connection back.
    pub(crate) fn finished_ms(&self) -> u64 {
        self.finished_ms.load(Ordering::Relaxed)
    }

    /// What waits to be written.
    pub(crate) fn leftover(&self) -> MutexGuard<'_, Leftover> {
        self.leftover.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to what waits. The client's time to take it begins now, if nothing
    /// waited before.
    pub(crate) fn leave(&self, add: impl FnOnce(&mut Outgoing)) {
        let mut leftover = self.leftover();
        if leftover.outgoing.is_empty() {
            leftover.progress_ms = monotonic_ms();
        }
        add(&mut leftover.outgoing);
    }

    /// Writes what waits, as far as the socket takes it, and wakes who waits
    /// for room.
    ///
    /// # Errors
    /// Those of writing; then nothing waits any more.
    pub(crate) fn flush(&self) -> io::Result<Flushed> {
        let mut leftover = self.leftover();
        let flushed = leftover.outgoing.flush(self.fd.as_fd());
        match &flushed {
            Ok(Flushed::Blocked(0)) => {}
            Ok(_) => leftover.progress_ms = monotonic_ms(),
            Err(_) => leftover.fail(),
        }
        self.wake(leftover);
        flushed
    }

    /// Gives up writing, and wakes who waits for room.
    pub(crate) fn fail(&self) {
        let mut leftover = self.leftover();
        leftover.fail();
        self.wake(leftover);
    }

    fn wake(&self, leftover: MutexGuard<Leftover>) {
        let awaited = leftover.awaited;
        drop(leftover);
        if awaited {
            self.written.notify_all();
        }
    }

    /// Waits until at most `held` bytes wait, or the client is gone, or the
    /// time is over (then ask again: the I/O thread ends a wait that is
    /// hopeless by [`Link::fail`]).
    pub(crate) fn wait_for_room(&self, held: usize, limit: Duration) -> Room {
        let mut leftover = self.leftover();
        leftover.awaited = true;
        let full = |state: &mut Leftover| !state.failed && state.outgoing.held() > held;
        let (mut leftover, _) = self
            .written
            .wait_timeout_while(leftover, limit, full)
            .unwrap_or_else(PoisonError::into_inner);
        leftover.awaited = false;
        match (leftover.failed, leftover.outgoing.held() > held) {
            (true, _) => Room::Gone,
            (false, true) => Room::None,
            (false, false) => Room::Some,
        }
    }
}

/// How far the answer was when its time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// Nothing of it had gone, and nothing will: the I/O thread is to answer.
    Unanswered,
    /// It has begun, and may never end.
    Begun,
    /// It was given.
    Answered,
}

/// What a wait for room found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// There is room.
    Some,
    /// There is none yet.
    None,
    /// The client is gone.
    Gone,
}

impl Leftover {
    fn fail(&mut self) {
        self.failed = true;
        self.outgoing.clear();
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn link() -> (Link, UnixStream) {
        let (one, two) = UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        let nowhere = Address::Unix(String::new());
        (Link::new(one.into(), 1, nowhere.clone(), Arc::new(nowhere)), two)
    }

    #[test]
    fn an_undisturbed_connection_comes_back_without_a_message() {
        let (link, _client) = link();
        link.lend(false);
        assert!(!link.is_free());
        assert!(link.give_back(1));
        assert!(link.is_free());
    }

    #[test]
    fn a_wanted_connection_comes_back_by_message() {
        let (link, _client) = link();
        link.lend(false);
        assert!(!link.want());
        assert!(!link.give_back(1));
        assert!(!link.is_free());
        assert!(link.take(), "more has come");
        assert!(link.want());
    }

    #[test]
    fn only_one_side_answers() {
        let (link, _client) = link();
        link.lend(false);
        assert!(link.begin_answer());
        assert_eq!(link.expire(), Expiry::Begun);
        link.give_answer();
        assert_eq!(link.expire(), Expiry::Answered);
        link.lend(false);
        assert_eq!(link.expire(), Expiry::Unanswered);
        assert!(!link.begin_answer());
        assert_eq!(link.expire(), Expiry::Begun, "once is enough");
    }

    #[test]
    fn who_waits_for_room_learns_that_the_client_is_gone() {
        let (link, client) = link();
        let spools = crate::spools::Spools::new(std::env::temp_dir());
        link.leave(|waiting| waiting.push_bytes(Box::new(vec![0; 8 << 20]), 0, &spools));
        link.flush().unwrap();
        assert_eq!(link.wait_for_room(0, Duration::ZERO), Room::None);
        drop(client);
        link.flush().unwrap_err();
        assert_eq!(link.wait_for_room(0, Duration::ZERO), Room::Gone);
    }
}
