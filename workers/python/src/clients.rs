//! The table of clients that a worker is sent behind its first message.

use monoceros_sys::reason;
use monoceros_wire::channel::WorkerEnd;
use monoceros_wire::client_table::WorkerClients;
use monoceros_wire::message::{BootFailure, Start, ToWorker};

use crate::boot_failure::give_up;
use crate::following::receive_following;

/// Takes the table, if the first message announces it. Ends this process if that fails.
pub(crate) fn take(channel: &WorkerEnd, start: &Start) -> Option<WorkerClients> {
    let received = start.has_limits.then(|| receive_following(channel, &ToWorker::Limits));
    let adopted = received.map(|received| received.and_then(WorkerClients::adopt));
    adopted.map(|adopted| {
        adopted.unwrap_or_else(|error| {
            let text = format!("cannot limit clients: {}", reason(&error));
            give_up(channel, BootFailure::Boot, &text)
        })
    })
}
