//! Owns the set of descriptors that the master waits for (`epoll(7)`), and what an event of
//! each of them means. Called by the event loop and its parts, which register their own
//! descriptors here.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use monoceros_sys::reason;

use crate::master::decide::id::WorkerId;

/// The most events that one wait reports.
const MAX_EVENTS: usize = 64;
/// The token of the first connection to the control socket. Smaller ones are those of the
/// sources that exist once.
const FIRST_CLIENT: usize = 8;
/// The token of the first connection to a metrics address, after those of all commands.
const FIRST_METRICS_CLIENT: usize = FIRST_CLIENT + u8::MAX as usize + 1;
/// The token of the first worker of a predecessor, after those of all connections.
const FIRST_FORMER: usize = FIRST_METRICS_CLIENT + u8::MAX as usize + 1;
/// The token of the first worker, after those of all workers of predecessors.
const FIRST_WORKER: usize = FIRST_FORMER + u16::MAX as usize + 1;

/// What a descriptor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PollSource {
    /// A signal has arrived.
    Signals,
    /// The channel to the successor.
    Successor,
    /// The successor has ended.
    SuccessorEnd,
    /// The channel to the predecessor.
    Predecessor,
    /// The control socket, where commands connect.
    ControlSocket,
    /// A file of a certificate has changed.
    Certificates,
    /// The listening sockets of the metrics addresses.
    MetricsListeners,
    /// A file that `reload` watches has changed.
    SourceFiles,
    /// The connection of a command.
    ControlClient(u8),
    /// A connection to a metrics address.
    MetricsClient(u8),
    /// The end of a worker that a predecessor has started.
    FormerWorker(u16),
    /// The channel of a worker or mold, or of a worker that a mold is to fork.
    Worker(WorkerId),
}

/// The set of descriptors.
pub(crate) struct Poller {
    poll: Poll,
    ready: Events,
}

impl PollSource {
    fn token(self) -> Token {
        Token(match self {
            Self::Signals => 0,
            Self::Successor => 1,
            Self::SuccessorEnd => 2,
            Self::Predecessor => 3,
            Self::ControlSocket => 4,
            Self::Certificates => 5,
            Self::MetricsListeners => 6,
            Self::SourceFiles => 7,
            Self::ControlClient(index) => FIRST_CLIENT + usize::from(index),
            Self::MetricsClient(index) => FIRST_METRICS_CLIENT + usize::from(index),
            Self::FormerWorker(number) => FIRST_FORMER + usize::from(number),
            Self::Worker(worker) => {
                usize::try_from(worker.0).unwrap_or(usize::MAX).saturating_add(FIRST_WORKER)
            }
        })
    }

    fn of(token: Token) -> Self {
        match token.0 {
            0 => Self::Signals,
            1 => Self::Successor,
            2 => Self::SuccessorEnd,
            3 => Self::Predecessor,
            4 => Self::ControlSocket,
            5 => Self::Certificates,
            6 => Self::MetricsListeners,
            7 => Self::SourceFiles,
            FIRST_CLIENT..FIRST_METRICS_CLIENT => {
                Self::ControlClient((token.0 - FIRST_CLIENT) as u8)
            }
            FIRST_METRICS_CLIENT..FIRST_FORMER => {
                Self::MetricsClient((token.0 - FIRST_METRICS_CLIENT) as u8)
            }
            FIRST_FORMER..FIRST_WORKER => Self::FormerWorker((token.0 - FIRST_FORMER) as u16),
            number => Self::Worker(WorkerId((number - FIRST_WORKER) as u64)),
        }
    }
}

impl Poller {
    /// An empty set.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { poll: Poll::new()?, ready: Events::with_capacity(MAX_EVENTS) })
    }

    /// Waits for a descriptor to become readable from now on.
    pub(crate) fn register(&self, fd: BorrowedFd, source: PollSource) -> io::Result<()> {
        let fd = fd.as_raw_fd();
        self.poll.registry().register(&mut SourceFd(&fd), source.token(), Interest::READABLE)
    }

    /// As above, also for having room for what is to be written.
    pub(crate) fn register_both(&self, fd: BorrowedFd, source: PollSource) -> io::Result<()> {
        let (fd, both) = (fd.as_raw_fd(), Interest::READABLE | Interest::WRITABLE);
        self.poll.registry().register(&mut SourceFd(&fd), source.token(), both)
    }

    /// Reports a descriptor once more if it is readable. mio reports what arrives, and not
    /// what is left to read.
    pub(crate) fn report_again(&self, fd: BorrowedFd, source: PollSource) -> io::Result<()> {
        let fd = fd.as_raw_fd();
        self.poll.registry().reregister(&mut SourceFd(&fd), source.token(), Interest::READABLE)
    }

    /// Removes a descriptor from the epoll set, where it may no longer be. Closing the
    /// descriptor is not enough while another process, which is about to execute its
    /// program, has a copy (`epoll(7)`).
    pub(crate) fn deregister(&self, fd: BorrowedFd) {
        drop(self.poll.registry().deregister(&mut SourceFd(&fd.as_raw_fd())));
    }

    /// Waits until descriptors are readable, or the time is over. Returns their sources.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> Vec<PollSource> {
        match self.poll.poll(&mut self.ready, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => log::error!("cannot wait for events: {}", reason(&error)),
        }
        self.ready.iter().map(|event| PollSource::of(event.token())).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn each_source_has_a_token_of_its_own() {
        let mut sources = vec![
            PollSource::Signals,
            PollSource::Successor,
            PollSource::SuccessorEnd,
            PollSource::Predecessor,
            PollSource::ControlSocket,
            PollSource::Certificates,
            PollSource::MetricsListeners,
            PollSource::SourceFiles,
        ];
        sources.extend([0, 1, u8::MAX].map(PollSource::ControlClient));
        sources.extend([0, 1, u8::MAX].map(PollSource::MetricsClient));
        sources.extend([0, 1, u16::MAX].map(PollSource::FormerWorker));
        sources.extend([0, 1, 1_000_000].map(|id| PollSource::Worker(WorkerId(id))));
        for source in &sources {
            assert_eq!(PollSource::of(source.token()), *source);
        }
        let tokens: Vec<_> = sources.iter().map(|source| source.token()).collect();
        assert!(tokens.is_sorted_by(|one, next| one < next), "{tokens:?}");
    }

    #[test]
    fn a_descriptor_is_reported_by_its_source_until_it_is_deregistered() {
        let mut poller = Poller::new().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let source = PollSource::Worker(WorkerId(7));
        poller.register(ours.as_fd(), source).unwrap();
        assert_eq!(poller.wait(Some(Duration::ZERO)), []);
        theirs.write_all(b"x").unwrap();
        assert_eq!(poller.wait(None), [source]);
        // The byte is not read: it is reported again only when that is asked for.
        assert_eq!(poller.wait(Some(Duration::ZERO)), []);
        poller.report_again(ours.as_fd(), source).unwrap();
        assert_eq!(poller.wait(None), [source]);
        poller.deregister(ours.as_fd());
        poller.deregister(ours.as_fd());
        theirs.write_all(b"x").unwrap();
        assert_eq!(poller.wait(Some(Duration::ZERO)), []);
    }
}
