//! What the master passes to this process: descriptors, whose numbers are in the
//! environment, and the settings in the first message.

use std::io;
use std::os::fd::OwnedFd;

use monoceros_config::{WorkerSettings, variable};
use monoceros_sys::descriptor;
use monoceros_sys::fork::Private;
use monoceros_tls::TlsServer;
use monoceros_wire::channel::{Incoming, WorkerEnd};
use monoceros_wire::client_table::WorkerClients;
use monoceros_wire::message::{BootFailure, Start, StartMold, ToWorker};
use monoceros_wire::scoreboard::Scoreboard;
use monoceros_wire::spool_count::WorkerSpoolCount;
use monoceros_wire::stacks::Stacks;
use pyo3::prelude::*;

use crate::boot_failure::give_up;
use crate::logs::GivenLogs;
use crate::{clients, keys};

/// The resources that a worker starts with.
pub(crate) struct BootResources {
    pub(crate) channel: WorkerEnd,
    pub(crate) scoreboard: Scoreboard,
    pub(crate) listeners: Vec<Private>,
    pub(crate) start: Start,
    /// TLS, for the listeners that have it.
    pub(crate) tls: Option<TlsServer>,
    /// What it shares with other workers about clients, if it limits them.
    pub(crate) clients: Option<WorkerClients>,
    /// What bodies take of the disk, in all workers; `None` if the master does not count it.
    pub(crate) spool_count: Option<WorkerSpoolCount>,
}

/// The role of this process: worker or mold.
pub(crate) enum BootRole {
    Worker(Box<BootResources>),
    Mold { channel: WorkerEnd, listeners: Vec<Private>, start: StartMold },
}

/// Takes the descriptors, and waits for the first message.
///
/// # Errors
/// For a descriptor that is missing, and for a message that cannot be read.
pub(crate) fn receive() -> io::Result<(BootRole, Stacks, GivenLogs)> {
    let channel = WorkerEnd::from(descriptor::take_inherited(number(variable::CHANNEL)?)?);
    let stacks = Stacks::from(descriptor::take_inherited(number(variable::STACKS)?)?);
    let count = number("LISTEN_FDS").unwrap_or(0);
    let listeners: io::Result<_> = (descriptor::FIRST..descriptor::FIRST + count)
        .map(|it| descriptor::take_inherited(it).map(Private::from))
        .collect();
    let listeners = listeners?;
    match channel.receive_with()? {
        (Incoming::Message(ToWorker::Start(start)), files) => {
            let scoreboard =
                Scoreboard::adopt(descriptor::take_inherited(number(variable::SCOREBOARD)?)?)?;
            let (spool_count, files) = adopt_files(&start, files)?;
            let logs = GivenLogs { roles: start.logs.clone(), files };
            let tls = keys::take(&channel, &start);
            let clients = clients::take(&channel, &start);
            let resources =
                BootResources { channel, scoreboard, listeners, start, tls, clients, spool_count };
            Ok((BootRole::Worker(Box::new(resources)), stacks, logs))
        }
        (Incoming::Message(ToWorker::StartMold(start)), files) => {
            let logs = GivenLogs { roles: start.logs.clone(), files };
            Ok((BootRole::Mold { channel, listeners, start }, stacks, logs))
        }
        _ => Err(io::Error::other("the master has sent no first message")),
    }
}

/// Takes the count of bodies on disk, whose descriptor came with the first message, and returns
/// the other ones, which are those of the logs.
///
/// # Errors
/// Those of `mmap(2)`; `InvalidData` for other memory.
pub(crate) fn adopt_files(
    start: &Start,
    files: Vec<OwnedFd>,
) -> io::Result<(Option<WorkerSpoolCount>, Vec<OwnedFd>)> {
    let mut files = files.into_iter();
    let given = start.spool_place.and_then(|place| Some((files.next()?, place)));
    let count = given.map(|(file, place)| WorkerSpoolCount::adopt(file, place)).transpose()?;
    Ok((count, files.collect()))
}

fn number(name: &str) -> io::Result<i32> {
    let text = std::env::var(name).map_err(|_| io::Error::other(format!("{name} is not set")))?;
    text.parse().map_err(|_| io::Error::other(format!("{name} is no number")))
}

/// Removes the variables that are for this process only from the environment: programs
/// that the application starts must not use them.
pub(crate) fn hide_variables(py: Python) -> PyResult<()> {
    let environ = py.import("os")?.getattr("environ")?;
    for name in variable::BOOT.iter().chain(&variable::LISTEN) {
        environ.call_method1("pop", (name, py.None()))?;
    }
    Ok(())
}

/// Reads the settings that the master has sent. Ends this process if that fails.
pub(crate) fn read_settings(channel: &WorkerEnd, pairs: &[(String, String)]) -> WorkerSettings {
    match WorkerSettings::from_pairs(pairs) {
        Ok(settings) => settings,
        Err(errors) => give_up(channel, BootFailure::Boot, &errors.to_string()),
    }
}
