//! The typed, bounded pair of sockets between the master and a worker.
//!
//! `SOCK_SEQPACKET` keeps messages apart. An end of file means that the other process
//! has ended, for whatever reason.

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use monoceros_sys::fork::Private;
use monoceros_sys::{packet, socket};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::message::{FromWorker, ToWorker};

/// The longest message, in bytes; the sender cuts longer texts.
pub const MESSAGE_LIMIT: usize = 128 * 1024;

/// The master's end.
pub type MasterEnd = Channel<ToWorker, FromWorker>;
/// The worker's end.
pub type WorkerEnd = Channel<FromWorker, ToWorker>;

/// One end of a channel, which sends `Out` and receives `In`.
#[derive(Debug)]
pub struct Channel<Out, In> {
    socket: Private,
    /// The other end was closed before it had read everything.
    unread: Cell<bool>,
    speaks: PhantomData<fn(Out) -> In>,
}

/// The result of receiving.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<In> {
    /// A message.
    Message(In),
    /// No message has arrived yet.
    Nothing,
    /// The other process has ended.
    Closed,
}

/// Makes both ends of a worker's channel; each is non-blocking and
/// close-on-exec.
///
/// # Errors
/// Those of `socketpair(2)`.
pub fn pair() -> io::Result<(MasterEnd, WorkerEnd)> {
    ends()
}

/// As [`pair`], between any two processes.
///
/// # Errors
/// Those of `socketpair(2)`.
pub fn ends<Here, There>() -> io::Result<(Channel<Here, There>, Channel<There, Here>)> {
    let (here, there) = socket::packet_pair()?;
    Ok((Channel::from(here), Channel::from(there)))
}

impl<Out: Serialize, In: DeserializeOwned> Channel<Out, In> {
    /// Sends without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when the other end has stopped reading, `BrokenPipe` when it is
    /// closed, `InvalidInput` when the message is too long.
    pub fn send(&self, message: &Out) -> io::Result<()> {
        self.send_with(message, &[])
    }

    /// As [`Channel::send`], with copies of descriptors, which only a receiver
    /// with [`Channel::receive_with`] gets.
    ///
    /// # Errors
    /// As [`Channel::send`]; `InvalidInput` also when there are too many
    /// descriptors.
    pub fn send_with(&self, message: &Out, descriptors: &[BorrowedFd]) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        if bytes.len() > MESSAGE_LIMIT {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "message too long"));
        }
        packet::send(self.socket.as_fd(), &bytes, descriptors).map(drop)
    }

    /// Receives without waiting.
    ///
    /// # Errors
    /// Those of `recv(2)`, and `InvalidData` when the message is of another
    /// version of the program.
    pub fn receive(&self) -> io::Result<Incoming<In>> {
        self.receive_by(|socket, bytes| Ok((socket::receive(socket, bytes)?, ())))
            .map(|(received, ())| received)
    }

    /// As [`Channel::receive`], with the descriptors of the message.
    ///
    /// # Errors
    /// As [`Channel::receive`].
    pub fn receive_with(&self) -> io::Result<(Incoming<In>, Vec<OwnedFd>)> {
        self.receive_by(packet::receive)
    }

    /// From now on the kernel adds the sender to each message: see
    /// [`Channel::receive_signed`].
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn ask_for_senders(&self) -> io::Result<()> {
        packet::ask_for_senders(self.socket.as_fd())
    }

    /// As [`Channel::receive`], with the pid of the sender, which the kernel
    /// guarantees. A message that arrived before [`Channel::ask_for_senders`] has none.
    ///
    /// # Errors
    /// As [`Channel::receive`].
    pub fn receive_signed(&self) -> io::Result<(Incoming<In>, Option<i32>)> {
        self.receive_by(packet::receive_signed)
    }

    fn receive_by<T: Default>(
        &self,
        by: impl Fn(BorrowedFd, &mut [u8]) -> io::Result<(usize, T)>,
    ) -> io::Result<(Incoming<In>, T)> {
        let mut bytes = vec![0; MESSAGE_LIMIT];
        match by(self.socket.as_fd(), &mut bytes) {
            Ok((0, with)) => Ok((Incoming::Closed, with)),
            Ok((length, with)) => {
                Ok((Incoming::Message(serde_json::from_slice(&bytes[..length])?), with))
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => Ok((Incoming::Nothing, T::default())),
                // The kernel returns this once, before the messages that the other end
                // had sent.
                io::ErrorKind::ConnectionReset if !self.unread.replace(true) => self.receive_by(by),
                io::ErrorKind::ConnectionReset => Ok((Incoming::Closed, T::default())),
                _ => Err(error),
            },
        }
    }

    /// Whether the other process ended without reading everything that it was sent;
    /// known when its end was found [`Incoming::Closed`].
    pub fn left_unread(&self) -> bool {
        self.unread.get()
    }
}

impl<Out, In> From<OwnedFd> for Channel<Out, In> {
    fn from(socket: OwnedFd) -> Self {
        Self { socket: socket.into(), unread: Cell::new(false), speaks: PhantomData }
    }
}

impl<Out, In> AsFd for Channel<Out, In> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Generation;
    use crate::message::{BootFailure, Start};

    #[test]
    fn messages_arrive_completely_and_in_order() {
        let (master, worker) = pair().unwrap();
        assert_eq!(worker.receive().unwrap(), Incoming::Nothing);
        let start = ToWorker::Start(Start { workers: 2, ..Start::default() });
        master.send(&start).unwrap();
        master.send(&ToWorker::Reopen).unwrap();
        assert_eq!(worker.receive().unwrap(), Incoming::Message(start));
        assert_eq!(worker.receive().unwrap(), Incoming::Message(ToWorker::Reopen));
        drop(master);
        assert_eq!(worker.receive().unwrap(), Incoming::Closed);
    }

    #[test]
    fn descriptors_arrive_with_their_message_only() {
        let (master, worker) = pair().unwrap();
        let (_, theirs) = pair().unwrap();
        let fork = ToWorker::Fork { worker: 7, generation: Generation(1), age: 1 };
        master.send_with(&fork, &[theirs.as_fd()]).unwrap();
        master.send(&ToWorker::Reopen).unwrap();
        master.send_with(&fork, &[theirs.as_fd()]).unwrap();
        let (received, descriptors) = worker.receive_with().unwrap();
        assert_eq!((received, descriptors.len()), (Incoming::Message(fork.clone()), 1));
        let (received, descriptors) = worker.receive_with().unwrap();
        assert_eq!((received, descriptors.len()), (Incoming::Message(ToWorker::Reopen), 0));
        assert_eq!(worker.receive().unwrap(), Incoming::Message(fork));
    }

    #[test]
    fn the_last_messages_of_a_process_that_did_not_read_arrive() {
        let (master, worker) = pair().unwrap();
        master.send(&ToWorker::Reopen).unwrap();
        let ready = FromWorker::Ready { app: "a".to_owned() };
        worker.send(&ready).unwrap();
        drop(worker);
        assert_eq!(master.receive().unwrap(), Incoming::Message(ready));
        assert_eq!(master.receive().unwrap(), Incoming::Closed);
        assert!(master.left_unread());
    }

    #[test]
    fn a_process_that_has_read_everything_leaves_nothing_unread() {
        let (master, worker) = pair().unwrap();
        master.send(&ToWorker::Reopen).unwrap();
        worker.receive().unwrap();
        drop(worker);
        assert_eq!(master.receive().unwrap(), Incoming::Closed);
        assert!(!master.left_unread());
    }

    #[test]
    fn a_message_that_is_too_long_is_refused() {
        let (_master, worker) = pair().unwrap();
        let failed =
            FromWorker::Failed { failure: BootFailure::Boot, text: "x".repeat(MESSAGE_LIMIT) };
        assert_eq!(worker.send(&failed).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
