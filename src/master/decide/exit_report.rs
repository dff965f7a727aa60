//! The log lines about workers that have ended. Owns nothing. Called by `pool.rs` only.

use log::Level;
use monoceros_sys::process::ExitStatus;

use crate::master::decide::event::WorkerExit;
use crate::master::decide::roster::{LeaveReason, WorkerEntry};

/// The log line about a worker that was asked to leave: its level and its text. With
/// `fails`, the first boot has failed, and the cause is in the log already.
pub(crate) fn left(
    worker: &WorkerEntry,
    exit: &WorkerExit,
    reason: LeaveReason,
    killed: bool,
    fails: bool,
) -> (Level, String) {
    let in_time = if killed {
        ", killed by the master: it did not finish within graceful-timeout"
    } else {
        ""
    };
    let clean = match exit.status {
        ExitStatus::Code(code) => code == 0,
        ExitStatus::Signal(_) => !killed && !exit.out_of_memory,
    };
    let (fault, ours) = match reason {
        LeaveReason::Retired | LeaveReason::Stopped => (!clean, in_time),
        LeaveReason::Failed => (false, ""),
        LeaveReason::Late => (true, ", killed by the master: it was not ready within boot-timeout"),
        LeaveReason::Hung if killed => (true, ", killed by the master: it hung"),
        LeaveReason::Hung => (true, ": it hung"),
    };
    // The stacks of a process that was late or hung are new, also after a failed first boot.
    let is_slow = matches!(reason, LeaveReason::Late | LeaveReason::Hung);
    let shows = is_slow && !exit.stacks.is_empty();
    let level = match (fails, fault) {
        (true, _) if !shows => Level::Debug,
        (_, true) => Level::Warn,
        (_, false) => Level::Info,
    };
    let cause = if killed { exit.status.to_string() } else { cause(exit) };
    (level, format!("{worker} left: {cause}{ours}{}", unfinished(exit)))
}

/// The exit code or signal, and the sender of the signal if it is known.
pub(crate) fn cause(exit: &WorkerExit) -> String {
    if exit.out_of_memory && exit.status == ExitStatus::Signal(libc::SIGKILL) {
        return format!("{}, by the kernel: out of memory", exit.status);
    }
    match exit.status {
        ExitStatus::Signal(libc::SIGKILL) => format!("{}, not by the master", exit.status),
        ExitStatus::Code(_) | ExitStatus::Signal(_) => exit.status.to_string(),
    }
}

/// The requests that a worker left unfinished, and the stacks of its threads.
pub(crate) fn unfinished(exit: &WorkerExit) -> String {
    let mut text = String::new();
    if !exit.running.is_empty() {
        text = format!("; it was running {}", exit.running.join(", "));
    }
    let stacks = exit.stacks.trim_end();
    if !stacks.is_empty() {
        text = format!("{text}\n{stacks}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_of_a_kill_is_named() {
        let killed = WorkerExit::of(ExitStatus::Signal(libc::SIGKILL));
        assert!(cause(&killed).ends_with("not by the master"));
        let starved = WorkerExit { out_of_memory: true, ..killed };
        assert!(cause(&starved).ends_with("by the kernel: out of memory"));
        assert_eq!(cause(&WorkerExit::of(ExitStatus::Code(3))), "exit code 3");
    }

    #[test]
    fn what_was_not_finished_follows_the_cause() {
        let running = vec!["GET /a".to_owned(), "GET /b".to_owned()];
        let stacks = "File a.py\n".to_owned();
        let died = WorkerExit { running, stacks, ..WorkerExit::of(ExitStatus::Code(0)) };
        assert_eq!(unfinished(&died), "; it was running GET /a, GET /b\nFile a.py");
        assert_eq!(unfinished(&WorkerExit::of(ExitStatus::Code(0))), "");
    }
}
