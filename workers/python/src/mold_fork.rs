//! The fork of a worker by a mold, and what the worker is made from.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use monoceros_config::variable;
use monoceros_log::Identity;
use monoceros_sys::fork::Private;
use monoceros_sys::process::{self, ExitStatus, ForkSide, Process, exit_now};
use monoceros_sys::wait::{self, Readiness, wait};
use monoceros_sys::{reason, signal};
use monoceros_wire::channel::{Incoming, WorkerEnd};
use monoceros_wire::message::{FromWorker, Start, ToWorker};
use monoceros_wire::scoreboard::Scoreboard;
use pyo3::prelude::*;
use pyo3::types::PySet;

use crate::logs::WorkerLogs;
use crate::parameters::{BootResources, adopt_files};
use crate::{clients, ffi, keys, stacks, traceback};

/// The maximum time of a fork. After it the fork is given up.
const FORK_LIMIT: Duration = Duration::from_secs(10);

/// The process in which a fork has returned.
pub(crate) enum Forked {
    /// The worker.
    Worker(ForkParts),
    /// The mold; the worker has this pid, if it was made.
    Mold(Option<i32>),
}

/// What a new worker has when it is forked.
pub(crate) struct ForkParts {
    channel: WorkerEnd,
    scoreboard: OwnedFd,
    stacks: OwnedFd,
    /// Listening sockets in place of the mold's; none if the mold's are current.
    sockets: Vec<Private>,
}

/// Forks a worker, and reports it to the master by its own channel; a failure is reported by the
/// mold's.
pub(crate) fn fork_worker(
    py: Python,
    channel: &WorkerEnd,
    worker: u64,
    descriptors: Vec<OwnedFd>,
) -> Forked {
    // Without a pipe the mold does not know the worker's pid.
    let (reader, writer) = io::pipe().ok().unzip();
    let report = |forked: io::Result<i32>| match forked {
        Ok(pid) => {
            pass_pid(writer.as_ref(), pid);
            true
        }
        Err(error) => send(channel, &not_forked(worker, &error)),
    };
    ffi::before_fork(py);
    // The application may have made this process adopt orphans
    // (`PR_SET_CHILD_SUBREAPER`); the worker must become the master's child.
    let takes = process::refuse_orphans().unwrap_or(false);
    let side = process::fork_orphan(report);
    if let Ok(ForkSide::Orphan { between }) = side {
        process::await_new_parent(between);
        let given = ForkParts::new(descriptors);
        // Before the application's code runs: then the master knows this process
        // before it can end.
        given.announce();
        ffi::after_fork_in_child(py);
        return Forked::Worker(given);
    }
    ffi::after_fork_in_parent(py);
    let failure = match side {
        Ok(ForkSide::Caller { between }) => see_off(between).err().map(io::Error::other),
        Ok(ForkSide::Orphan { .. }) => None,
        Err(error) => Some(error),
    };
    if takes && let Err(error) = process::adopt_orphans() {
        log::error!("cannot take orphans again: {}", reason(&error));
    }
    if let Some(error) = failure {
        send(channel, &not_forked(worker, &error));
    }
    Forked::Mold(reader.and_then(take_pid))
}

/// Sends the mold the pid of the worker, from the process between the two.
fn pass_pid(writer: Option<&PipeWriter>, pid: i32) {
    if let Some(mut writer) = writer {
        // The pipe is empty, and the mold has the other end.
        writer.write_all(&pid.to_ne_bytes()).ok();
    }
}

/// The pid that the process between has sent before its end, if it has.
fn take_pid(mut reader: PipeReader) -> Option<i32> {
    let mut bytes = [0; size_of::<i32>()];
    let has_come = wait::is_readable(reader.as_fd());
    (has_come && reader.read_exact(&mut bytes).is_ok()).then(|| i32::from_ne_bytes(bytes))
}

/// Sends the master a message, and waits until there is room. Returns whether that
/// worked; it fails only when the master has ended.
pub(crate) fn send(channel: &WorkerEnd, message: &FromWorker) -> bool {
    loop {
        match channel.send(message) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let room = wait(&[(channel.as_fd(), Readiness::Writable)], None);
                if room.is_err() {
                    return false;
                }
            }
            sent => return sent.is_ok(),
        }
    }
}

fn not_forked(worker: u64, error: &io::Error) -> FromWorker {
    let text = format!("the mold cannot fork: {}", reason(error));
    FromWorker::NotForked { worker, text, passes: process::lacks_room(error), code: None }
}

/// Waits for the end of the process between the mold and a worker. The error is what
/// failed in that process.
fn see_off(between: i32) -> Result<(), String> {
    let deadline = Instant::now() + FORK_LIMIT;
    // Without a pidfd the wait has no limit.
    if let Ok(process) = Process::adopt(between) {
        let asked = [(process.as_fd(), Readiness::Readable)];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match wait(&asked, Some(left)) {
                Ok(ended) if ended[0] => break,
                Ok(_) if !left.is_zero() => {}
                Ok(_) | Err(_) => {
                    // The process exists until it is reaped below.
                    drop(process.signal(signal::KILL));
                    break;
                }
            }
        }
    }
    match process::reap(between) {
        Ok(ExitStatus::Code(0)) => Ok(()),
        Ok(end) => Err(format!("the process that forks ended with {end}")),
        // The application ignores SIGCHLD, so the kernel has reaped the process and its
        // exit status is lost. The process itself has reported a failure.
        Err(_) => Ok(()),
    }
}

/// Resets `multiprocessing` in a worker, as in its own processes. The processes that
/// the application has started at import belong to the mold, and stay when the worker
/// ends. Connections to a manager are made anew.
fn part_from_processes(py: Python) -> PyResult<()> {
    let modules = py.import("sys")?.getattr("modules")?;
    if modules.contains("multiprocessing.process")? {
        modules.get_item("multiprocessing.process")?.setattr("_children", PySet::empty(py)?)?;
    }
    if modules.contains("multiprocessing.util")? {
        let util = modules.get_item("multiprocessing.util")?;
        util.getattr("_finalizer_registry")?.call_method0("clear")?;
        util.call_method0("_run_after_forkers")?;
    }
    Ok(())
}

impl ForkParts {
    /// Makes the parts in the worker, from the descriptors that the master has sent.
    fn new(descriptors: Vec<OwnedFd>) -> Self {
        let mut descriptors = descriptors.into_iter();
        match (descriptors.next(), descriptors.next(), descriptors.next()) {
            (Some(channel), Some(scoreboard), Some(stacks)) => {
                let sockets = descriptors.map(Private::from).collect();
                Self { channel: channel.into(), scoreboard, stacks, sockets }
            }
            // The master has another version. It sees the end of the channel.
            _ => exit_now(1),
        }
    }

    /// Announces this worker to the master; the kernel adds the pid to the message.
    fn announce(&self) {
        if self.channel.send(&FromWorker::Forked).is_err() {
            // The master has ended, or has withdrawn the fork.
            exit_now(0);
        }
    }

    /// Waits until the master has opened its pidfd and sends slot and settings.
    pub(crate) fn become_worker(
        self,
        py: Python,
        listeners: Vec<Private>,
        logs: &WorkerLogs,
    ) -> PyResult<BootResources> {
        wait(&[(self.channel.as_fd(), Readiness::Readable)], None)?;
        let (start, files) = match self.channel.receive_with()? {
            (Incoming::Message(ToWorker::Start(start)), files) => (start, files),
            // The master has ended, or has withdrawn the fork.
            (Incoming::Message(_) | Incoming::Nothing | Incoming::Closed, _) => exit_now(0),
        };
        let (spool_count, files) = adopt_files(&start, files)?;
        logs.replace(files);
        let tls = keys::take(&self.channel, &start);
        let clients = clients::take(&self.channel, &start);
        let Start { slot, generation, .. } = &start;
        let identity = Identity::Worker { slot: slot.0, generation: generation.0 };
        monoceros_log::identify(&identity);
        let environ = py.import("os")?.getattr("environ")?;
        environ.set_item(variable::SLOT, slot.to_string())?;
        environ.set_item(variable::GENERATION, generation.to_string())?;
        let scoreboard = Scoreboard::adopt(self.scoreboard)?;
        stacks::show(py, self.stacks.into())?;
        scoreboard.show_stacks();
        if let Err(error) = part_from_processes(py) {
            let text = traceback::describe(py, &error);
            log::warn!("cannot tell multiprocessing that this is another process\n{text}");
        }
        let listeners = if self.sockets.is_empty() { listeners } else { self.sockets };
        let channel = self.channel;
        Ok(BootResources { channel, scoreboard, listeners, start, tls, clients, spool_count })
    }
}
