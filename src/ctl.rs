//! The client of the control socket: sends one command, waits for the reply, and prints it.
//! What a command does is decided by the master.

pub(crate) mod connection;
mod outcome;
mod tables;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use monoceros_config::{ControlCommand, ControlTarget, Verb, WorkersChange};
use monoceros_log::printable;
use monoceros_sys::process::Process;
use monoceros_sys::{reason, wait};
use monoceros_wire::Slot;
use monoceros_wire::control::{
    ControlReply, ControlRequest, PoolChange, Status, read_document, read_text, to_json,
};

use crate::cli::{complain, write_output};
use crate::ctl::connection::{Replied, ask, left};
use crate::ctl::outcome::CommandOutcome;
use crate::ctl::tables::{report_table, requests_table, stacks_text, status_table};
use crate::master::{find_master, is_stopped};
use crate::top;

/// The exit code when the command succeeded.
const DONE: u8 = 0;
/// The exit code when it failed.
const FAILED: u8 = 1;

/// How long a command that only shows something waits, unless `--timeout` sets that.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);

/// What a command prints.
#[derive(Debug, Default)]
struct CommandOutput {
    /// To standard output.
    text: String,
    /// To standard error: why it has failed in part.
    failures: Vec<String>,
}

/// Sends a command to a running server; returns the exit code.
pub(crate) fn run(command: &ControlCommand) -> u8 {
    if command.verb == Verb::Top {
        return top::run(&command.target, command.timeout).unwrap_or_else(|text| {
            complain(&printable::text(&text));
            FAILED
        });
    }
    match carry_out(command) {
        Ok(CommandOutput { text, mut failures }) => {
            let written = write_output(text.as_bytes());
            failures.extend(written.err().filter(|_| only_shows(command.verb)));
            failures.iter().for_each(|text| complain(&printable::text(text)));
            if failures.is_empty() { DONE } else { FAILED }
        }
        Err(text) => {
            complain(&printable::text(&text));
            FAILED
        }
    }
}

/// Whether a command does nothing but show something. Another one was carried out, even if its
/// output cannot be written.
fn only_shows(verb: Verb) -> bool {
    match verb {
        Verb::Status | Verb::Requests | Verb::Stacks { .. } | Verb::Top => true,
        Verb::Reload
        | Verb::Upgrade
        | Verb::Stop
        | Verb::Workers(_)
        | Verb::LogLevel(_)
        | Verb::Reopen
        | Verb::Recycle { .. } => false,
    }
}

/// What to print when the command succeeded, or why it failed.
fn carry_out(command: &ControlCommand) -> Result<CommandOutput, String> {
    let verb = command.verb;
    let pid = match &command.target {
        ControlTarget::Pid(pid) => *pid,
        ControlTarget::PidFile(path) => find_master(path)?,
    };
    let limit = command.timeout.or_else(|| only_shows(verb).then_some(SHOWN_WITHIN));
    let deadline = limit.map(|limit| Instant::now() + limit);
    // Opened before the request: later the pid may be that of another process.
    let process = (verb == Verb::Stop).then(|| Process::adopt(pid)).transpose();
    let process = process.map_err(|error| format!("cannot find pid {pid}: {}", reason(&error)))?;
    let request = request(verb)
        .ok_or_else(|| format!("{verb} failed: the server does not know this command"))?;
    let Replied { reply, file } = match ask(pid, request, deadline) {
        // The server was stopped in another way, and ended before it could reply.
        Err(_) if process.as_ref().is_some_and(has_ended) => {
            Replied { reply: ControlReply::Stopping, file: None }
        }
        replied => replied.map_err(|text| explain(text, pid, command, deadline))?,
    };
    let outcome = match reply {
        ControlReply::Reloaded { generation, workers } => {
            CommandOutcome::Reloaded { generation: generation.0, workers }
        }
        ControlReply::Upgraded { pid } => {
            settle(pid, deadline);
            CommandOutcome::Upgraded { pid }
        }
        ControlReply::Stopping => {
            process.map_or(Ok(()), |process| wait_for_end(&process, deadline))?;
            CommandOutcome::Stopped { stopped: pid }
        }
        ControlReply::Resized { workers } => CommandOutcome::Resized { workers },
        ControlReply::Recycled { workers } => CommandOutcome::Recycled { recycled: workers },
        ControlReply::Confirmed { processes } => match verb {
            Verb::LogLevel(level) => {
                CommandOutcome::Levelled { level: level.to_string(), processes }
            }
            _ => CommandOutcome::Reopened { processes },
        },
        // A master of an older release, or one that was asked by `settle`.
        ControlReply::Status(status) => return show_status(&status, command.json),
        ControlReply::Document => return show_document(command, file),
        ControlReply::Displaced => return Err(format!("{verb} failed: pid {pid} is busy")),
        ControlReply::Failed(reason) => return Err(format!("{verb} failed: {reason}")),
    };
    let text = if command.json { json(&outcome)? } else { format!("{outcome}\n") };
    Ok(CommandOutput { text, failures: Vec::new() })
}

/// Why a command has failed: the text, or more if the time was over.
fn explain(
    mut text: String,
    pid: i32,
    command: &ControlCommand,
    deadline: Option<Instant>,
) -> String {
    if left(deadline) == Some(Duration::ZERO) {
        if command.timeout.is_none() {
            text = format!("pid {pid} has not answered for {} s", SHOWN_WITHIN.as_secs());
        }
        if is_stopped(pid) {
            text += "; a signal has stopped it (SIGSTOP), and SIGCONT lets it go on";
        }
    }
    text
}

/// The request of a command; `None` if a master of this version has none.
fn request(verb: Verb) -> Option<ControlRequest> {
    let slot = |worker: Option<u16>| worker.map(Slot);
    Some(match verb {
        Verb::Reload => ControlRequest::Reload,
        Verb::Upgrade => ControlRequest::Upgrade,
        Verb::Stop => ControlRequest::Stop,
        Verb::Status => ControlRequest::Report { recent: false },
        Verb::Requests => ControlRequest::Report { recent: true },
        Verb::Stacks { worker } => ControlRequest::Stacks { slot: slot(worker) },
        Verb::Workers(change) => ControlRequest::Workers(match change {
            WorkersChange::Add(count) => PoolChange::More(count),
            WorkersChange::Remove(count) => PoolChange::Fewer(count),
            WorkersChange::Set(count) => PoolChange::To(count),
        }),
        Verb::LogLevel(level) => ControlRequest::LogLevel(level.filter()),
        Verb::Reopen => ControlRequest::Reopen,
        Verb::Recycle { worker } => ControlRequest::Recycle { slot: slot(worker) },
        Verb::Top => return None,
    })
}

fn show_status(status: &Status, as_json: bool) -> Result<CommandOutput, String> {
    let text = if as_json { json(status)? } else { status_table(status) };
    Ok(CommandOutput { text, failures: Vec::new() })
}

/// Prints what a file of the master has.
fn show_document(command: &ControlCommand, file: Option<File>) -> Result<CommandOutput, String> {
    let verb = command.verb;
    let file = file.ok_or_else(|| format!("{verb} failed: the reply has come without its text"))?;
    let cannot = |error: io::Error| format!("cannot read the reply: {}", reason(&error));
    if command.json {
        // As the master has written it: also what only another release knows.
        let text = read_text(&file).map_err(cannot)?;
        let failures = match verb {
            Verb::Stacks { .. } => stacks_text(&read_document::<Vec<_>>(&file).map_err(cannot)?).1,
            _ => Vec::new(),
        };
        return Ok(CommandOutput { text: format!("{text}\n"), failures: named(verb, failures) });
    }
    let (text, failures) = match verb {
        Verb::Requests => {
            (requests_table(&read_document::<Vec<_>>(&file).map_err(cannot)?), Vec::new())
        }
        Verb::Stacks { .. } => stacks_text(&read_document::<Vec<_>>(&file).map_err(cannot)?),
        _ => (report_table(&read_document(&file).map_err(cannot)?), Vec::new()),
    };
    Ok(CommandOutput { text, failures: named(verb, failures) })
}

/// Failures in part, with the command.
fn named(verb: Verb, failures: Vec<String>) -> Vec<String> {
    failures.into_iter().map(|text| format!("{verb} failed: {text}")).collect()
}

/// A value for programs, on a line.
fn json<T: serde::Serialize>(value: &T) -> Result<String, String> {
    to_json(value).map(|text| text + "\n").map_err(|error| error.to_string())
}

/// Waits until the master is gone, which is the last of its server.
fn wait_for_end(process: &Process, deadline: Option<Instant>) -> Result<(), String> {
    let pid = process.pid();
    loop {
        let left = left(deadline);
        let ended = wait::wait(&[(process.as_fd(), wait::Readiness::Readable)], left)
            .map_err(|error| format!("cannot wait for pid {pid}: {}", reason(&error)))?;
        match ended[..] {
            [true] => return Ok(()),
            _ if left == Some(Duration::ZERO) => {
                return Err(format!("pid {pid} is not gone within --timeout; it goes on to drain"));
            }
            _ => {}
        }
    }
}

fn has_ended(process: &Process) -> bool {
    let asked = [(process.as_fd(), wait::Readiness::Readable)];
    wait::wait(&asked, Some(Duration::ZERO)).is_ok_and(|ended| ended[..] == [true])
}

/// Waits until a new master has its pid file, so that the next command finds it: the file
/// is written before the master replies. A master without a control socket serves as well.
fn settle(pid: i32, deadline: Option<Instant>) {
    drop(ask(pid, ControlRequest::Status, deadline));
}
