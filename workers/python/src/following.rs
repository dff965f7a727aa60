//! The messages with descriptors that follow a worker's first message.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use monoceros_sys::wait::{Readiness, wait};
use monoceros_wire::channel::{Incoming, WorkerEnd};
use monoceros_wire::message::ToWorker;

/// Waits for this message, which is the next one, and returns its descriptors.
///
/// # Errors
/// Those of the channel; `InvalidData` for another message, and at the end of the channel.
pub(crate) fn receive_following(
    channel: &WorkerEnd,
    expected: &ToWorker,
) -> io::Result<Vec<OwnedFd>> {
    loop {
        match channel.receive_with()? {
            (Incoming::Message(message), descriptors) if message == *expected => {
                return Ok(descriptors);
            }
            (Incoming::Nothing, _) => {
                wait(&[(channel.as_fd(), Readiness::Readable)], None)?;
            }
            (Incoming::Message(_) | Incoming::Closed, _) => {
                let why = "the master has not sent what it has announced";
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
        }
    }
}
