//! Why a worker has ended, as a bounded set of names for reports. Owns nothing. Called by the
//! master only.

use monoceros_sys::process::ExitStatus;
use monoceros_sys::signal;

use crate::master::decide::event::WorkerExit;
use crate::master::decide::roster::{
    LeaveReason, RecycleCause, Retirement, WorkerEntry, WorkerState,
};

/// The reason of the end of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitReason {
    /// It has exited with this code, and was not asked to.
    Code(i32),
    /// This signal has ended it, and the master has not sent it.
    Signal(i32),
    /// The kernel has killed it because no memory was left.
    OutOfMemory,
    /// It could not serve.
    BootFailure,
    /// It was not ready within `boot-timeout`.
    BootTimeout,
    /// A request ran for longer than `timeout`.
    Timeout,
    /// It hung.
    Hung,
    /// It did not finish within `graceful-timeout`, and was killed.
    GracefulTimeout,
    /// It was recycled.
    Recycled(RecycleCause),
    /// A reload has replaced it.
    Reload,
    /// An upgrade has replaced it.
    Upgrade,
    /// The server is to have fewer workers.
    FewerWorkers,
    /// The server stops.
    Stop,
}

impl ExitReason {
    /// Why a worker in this state has ended in this way.
    pub(crate) fn of(worker: &WorkerEntry, exit: &WorkerExit) -> Self {
        let (reason, killed) = match worker.state {
            WorkerState::Booting { .. } => return Self::BootFailure,
            WorkerState::Ready { .. } => return Self::of_death(exit),
            WorkerState::Leaving { reason, .. } => (reason, false),
            WorkerState::Killed { reason } => (reason, true),
        };
        match reason {
            LeaveReason::Failed => Self::BootFailure,
            LeaveReason::Late => Self::BootTimeout,
            LeaveReason::Hung => Self::Hung,
            LeaveReason::Retired | LeaveReason::Stopped
                if killed && worker.ready_since.is_some() =>
            {
                Self::GracefulTimeout
            }
            LeaveReason::Retired | LeaveReason::Stopped if !killed && has_crashed(exit.status) => {
                Self::of_death(exit)
            }
            LeaveReason::Stopped => Self::Stop,
            LeaveReason::Retired => match worker.retirement {
                Some(Retirement::Recycled(cause)) => Self::Recycled(cause),
                Some(Retirement::TimedOut) => Self::Timeout,
                Some(Retirement::Reload) => Self::Reload,
                Some(Retirement::FewerWorkers) => Self::FewerWorkers,
                // The planner has retired all others.
                None => Self::Upgrade,
            },
        }
    }

    fn of_death(exit: &WorkerExit) -> Self {
        match exit.status {
            ExitStatus::Signal(libc::SIGKILL) if exit.out_of_memory => Self::OutOfMemory,
            ExitStatus::Signal(signal) => Self::Signal(signal),
            ExitStatus::Code(code) => Self::Code(code),
        }
    }

    /// Its name in reports.
    pub(crate) fn name(self) -> String {
        let name = match self {
            Self::Code(code) => return format!("exit-code-{code}"),
            Self::Signal(signal) => return signal::name(signal).into_owned(),
            Self::OutOfMemory => "out-of-memory",
            Self::BootFailure => "boot-failure",
            Self::BootTimeout => "boot-timeout",
            Self::Timeout => "timeout",
            Self::Hung => "hung",
            Self::GracefulTimeout => "graceful-timeout",
            Self::Recycled(RecycleCause::Requests) => "max-requests",
            Self::Recycled(RecycleCause::Lifetime) => "max-lifetime",
            Self::Recycled(RecycleCause::Memory) => "max-rss",
            Self::Recycled(RecycleCause::Operator) => "recycle",
            Self::Recycled(RecycleCause::Application) => "application",
            Self::Reload => "reload",
            Self::Upgrade => "upgrade",
            Self::FewerWorkers => "fewer-workers",
            Self::Stop => "stop",
        };
        name.to_owned()
    }
}

/// A worker that was asked to leave has ended by a signal that means no such thing.
fn has_crashed(status: ExitStatus) -> bool {
    match status {
        ExitStatus::Code(_) => false,
        ExitStatus::Signal(signal) => ![libc::SIGTERM, libc::SIGQUIT].contains(&signal),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use monoceros_wire::{Generation, Slot};

    use super::*;
    use crate::master::decide::roster::{Role, Roster};

    fn worker(state: WorkerState, retirement: Option<Retirement>) -> WorkerEntry {
        let mut roster = Roster::default();
        let id = roster.add(Role::Worker(Slot(0)), Generation(1), state);
        let mut worker = roster.get(id).unwrap().clone();
        (worker.retirement, worker.ready_since) = (retirement, Some(Instant::now()));
        worker
    }

    fn exit(status: ExitStatus) -> WorkerExit {
        WorkerExit::of(status)
    }

    #[test]
    fn a_worker_that_was_not_asked_to_leave_ends_by_its_own_cause() {
        let ready = worker(WorkerState::Ready { since: Instant::now() }, None);
        let starved = WorkerExit { out_of_memory: true, ..exit(ExitStatus::Signal(9)) };
        let name = |exit: &WorkerExit| ExitReason::of(&ready, exit).name();
        assert_eq!(name(&exit(ExitStatus::Code(3))), "exit-code-3");
        assert_eq!(name(&exit(ExitStatus::Signal(11))), "SIGSEGV");
        assert_eq!(name(&starved), "out-of-memory");
        let boots = worker(WorkerState::Booting { until: None, ready_at: None }, None);
        assert_eq!(ExitReason::of(&boots, &starved), ExitReason::BootFailure);
    }

    #[test]
    fn a_worker_that_was_asked_to_leave_ends_for_the_reason_that_it_was_asked_for() {
        let until = Instant::now();
        let leaving = |reason| WorkerState::Leaving { until, reason };
        let retired = leaving(LeaveReason::Retired);
        let clean = exit(ExitStatus::Code(0));
        for (retirement, name) in [
            (Some(Retirement::Recycled(RecycleCause::Requests)), "max-requests"),
            (Some(Retirement::TimedOut), "timeout"),
            (Some(Retirement::Reload), "reload"),
            (Some(Retirement::FewerWorkers), "fewer-workers"),
            (None, "upgrade"),
        ] {
            assert_eq!(ExitReason::of(&worker(retired, retirement), &clean).name(), name);
        }
        for (reason, name) in [
            (LeaveReason::Stopped, "stop"),
            (LeaveReason::Failed, "boot-failure"),
            (LeaveReason::Late, "boot-timeout"),
            (LeaveReason::Hung, "hung"),
        ] {
            assert_eq!(ExitReason::of(&worker(leaving(reason), None), &clean).name(), name);
        }
        let crashed = exit(ExitStatus::Signal(11));
        assert_eq!(ExitReason::of(&worker(retired, None), &crashed).name(), "SIGSEGV");
        let killed = WorkerState::Killed { reason: LeaveReason::Retired };
        let killed = ExitReason::of(&worker(killed, None), &exit(ExitStatus::Signal(9)));
        assert_eq!(killed, ExitReason::GracefulTimeout);
    }
}
