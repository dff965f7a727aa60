//! The certificates and keys that a worker is sent behind its first message.

use std::io;

use monoceros_engine::read_material;
use monoceros_sys::{reason, secrets};
use monoceros_tls::TlsServer;
use monoceros_wire::channel::WorkerEnd;
use monoceros_wire::message::{BootFailure, Start, ToWorker};

use crate::boot_failure::give_up;
use crate::following::receive_following;

/// Takes them, if the first message announces them. Ends this process if that fails.
pub(crate) fn take(channel: &WorkerEnd, start: &Start) -> Option<TlsServer> {
    match receive(channel, start) {
        Ok(tls) => tls,
        Err(why) => give_up(channel, BootFailure::Boot, &format!("cannot serve TLS: {why}")),
    }
}

/// Receives them, after the memory of this process is protected.
fn receive(channel: &WorkerEnd, start: &Start) -> Result<Option<TlsServer>, String> {
    if !start.has_tls {
        return Ok(None);
    }
    let cannot =
        |error: io::Error| format!("its certificates have not arrived: {}", reason(&error));
    secrets::protect().map_err(cannot)?;
    let files = receive_following(channel, &ToWorker::Tls).map_err(cannot)?;
    let file = files.into_iter().next();
    let file = file.ok_or("the master has sent no certificates")?;
    TlsServer::new(read_material(file).map_err(cannot)?).map(Some)
}
