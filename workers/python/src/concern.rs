//! Reports to the master what the operator should correct in the application. The master logs
//! each text once for a generation, whichever of its workers reports it.

use std::io;
use std::os::fd::AsFd;

use monoceros_sys::wait::{Readiness, wait};
use monoceros_wire::channel::WorkerEnd;
use monoceros_wire::message::FromWorker;

/// Reports something that the operator should correct. What is grave is logged at every
/// log level.
pub(crate) fn report(channel: &WorkerEnd, text: String, is_grave: bool) {
    let concern = FromWorker::Concern { text, is_grave };
    // A master that has ended logs nothing.
    while let Err(error) = channel.send(&concern) {
        let has_room = error.kind() == io::ErrorKind::WouldBlock
            && wait(&[(channel.as_fd(), Readiness::Writable)], None).is_ok();
        if !has_room {
            return;
        }
    }
}
