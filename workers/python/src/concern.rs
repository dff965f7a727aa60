//! Reports to the master: what the operator should correct in the application, and what else may
//! wait until the channel has room. The master logs each text once for a generation, whichever of
//! its workers reports it.

use std::io;
use std::os::fd::AsFd;

use monoceros_sys::wait::{Readiness, wait};
use monoceros_wire::channel::WorkerEnd;
use monoceros_wire::message::FromWorker;

/// Reports something that the operator should correct. What is grave is logged at every
/// log level.
pub(crate) fn report(channel: &WorkerEnd, text: String, is_grave: bool) {
    // A master that has ended logs nothing.
    send(channel, &FromWorker::Concern { text, is_grave });
}

/// Sends a message, and waits until the channel has room for it. Returns whether it was sent.
pub(crate) fn send(channel: &WorkerEnd, message: &FromWorker) -> bool {
    while let Err(error) = channel.send(message) {
        let has_room = error.kind() == io::ErrorKind::WouldBlock
            && wait(&[(channel.as_fd(), Readiness::Writable)], None).is_ok();
        if !has_room {
            return false;
        }
    }
    true
}
