//! What becomes of single workers: how the master hears of them, lets them go
//! and ends them. The other half of `mod.rs`.

use std::time::{Duration, Instant};

use log::Level;
use monoceros_wire::message::{BootFailure, Drain, ToWorker};

use crate::master::decide::action::Action;
use crate::master::decide::action::{Notice, WorkerSignal};
use crate::master::decide::event::SpawnError;
use crate::master::decide::event::WorkerExit;
use crate::master::decide::id::WorkerId;
use crate::master::decide::reload::Rollout;
use crate::master::decide::roster::{LeaveReason, Role, WorkerEntry, WorkerState};
use crate::master::decide::rules::{contention, health};
use crate::master::decide::state::MasterState;
use crate::master::decide::{ABORT_LIMIT, BOOT_STOP_LIMIT, Master, Purpose, STOP_LIMIT, gist};
use monoceros_sys::process::ExitStatus;

/// An end of a worker that lived for so long, with exit code 0, was somebody's
/// wish (`kill PID`), not a fault.
const WISHED: Duration = Duration::from_secs(1);
/// So much longer than now a start or a reload may take, as the init system is told again
/// and again.
const BOOT_EXTENSION: Duration = Duration::from_secs(15);
/// The most texts that are remembered so as not to log them twice.
const MOST_TOLD: usize = 16;

impl Master {
    pub(super) fn note_pid(&mut self, id: WorkerId, pid: i32) {
        if let Some(worker) = self.roster.get_mut(id) {
            worker.pid = pid;
            let text = format!("{worker} spawned");
            self.log(Level::Debug, text);
        }
    }

    pub(super) fn note_ready(&mut self, id: WorkerId, app: String, now: Instant) {
        let Some(worker) = self.roster.get_mut(id) else { return };
        if matches!(worker.state, WorkerState::Leaving { .. }) {
            return self.note_late_ready(id, now);
        }
        if !matches!(worker.state, WorkerState::Booting { .. }) {
            return;
        }
        worker.state = WorkerState::Ready { since: now };
        let (role, text) = (worker.role, format!("{worker} ready"));
        self.log(Level::Info, text);
        if let Role::WorkerEntry(_) = role {
            self.app = app;
            self.allot(id, now);
        }
    }

    /// A worker that was told to go before it was ready got ready: it may have
    /// requests, so it drains like every other.
    pub(super) fn note_late_ready(&mut self, id: WorkerId, now: Instant) {
        let limit = self.settings().graceful_timeout;
        let Some(worker) = self.roster.get_mut(id) else { return };
        if let WorkerState::Leaving {
            reason: reason @ (LeaveReason::Retired | LeaveReason::Stopped),
            ..
        } = worker.state
            && worker.slot().is_some()
        {
            worker.state = WorkerState::Leaving { until: now + limit, reason };
            let message = ToWorker::Drain(Drain::Retire);
            self.actions.push(Action::Tell { worker: id, message });
        }
    }

    /// A worker said why it cannot serve; its exit follows.
    pub(super) fn note_failure(&mut self, id: WorkerId, code: u8, text: &str, now: Instant) {
        let Some(worker) = self.roster.get_mut(id) else { return };
        if !matches!(worker.state, WorkerState::Booting { .. }) {
            return;
        }
        worker.state =
            WorkerState::Leaving { until: now + STOP_LIMIT, reason: LeaveReason::Failed };
        let worker = worker.clone();
        self.fail_boot(&worker, code, text, now);
    }

    /// A process could not be made, or could not become the program meant.
    pub(super) fn note_spawn_failure(&mut self, id: WorkerId, refusal: &SpawnError, now: Instant) {
        let Some(worker) = self.roster.remove(id) else { return };
        if !worker.is_live() {
            return;
        }
        let SpawnError { text, is_temporary } = refusal;
        if *is_temporary && self.is_first_start() {
            self.tell_once(&worker, &format!("{text}; trying again"));
            self.roster.fail(worker.role, Duration::ZERO, now, &mut self.random);
        } else {
            self.fail_boot(&worker, BootFailure::Interpreter.exit_code(), text, now);
        }
    }

    /// Nobody serves, here or elsewhere, and somebody waits for that.
    fn is_first_start(&self) -> bool {
        self.state == MasterState::Booting && self.purpose == Purpose::Serve && !self.follows
    }

    /// A worker's process is gone.
    pub(super) fn note_exit(&mut self, id: WorkerId, death: &WorkerExit, now: Instant) {
        let Some(worker) = self.roster.remove(id) else { return };
        self.totals.add(worker.observed.requests, &death.losses);
        match worker.state {
            WorkerState::Booting { .. } => {
                let (cause, left) = (explain(death), describe(death));
                let text = format!("it ended with {cause} before it was ready{left}");
                self.fail_boot(&worker, BootFailure::Boot.exit_code(), &text, now);
            }
            WorkerState::Ready { .. } => self.note_death(&worker, death, now),
            WorkerState::Leaving { reason, .. } => self.note_leave(&worker, death, reason, false),
            WorkerState::Killed { reason } => self.note_leave(&worker, death, reason, true),
        }
    }

    /// A serving worker died unasked.
    fn note_death(&mut self, worker: &WorkerEntry, death: &WorkerExit, now: Instant) {
        let lived = worker.lived(now);
        let wished = death.exit == ExitStatus::Code(0) && lived >= WISHED;
        let wait = if wished {
            self.roster.pause(worker.role, now);
            String::new()
        } else {
            let wait = self.roster.fail(worker.role, lived, now, &mut self.random);
            format!("; the next one in {:.1} s", wait.as_secs_f64())
        };
        let level = if wished { Level::Warn } else { Level::Error };
        let (cause, left) = (explain(death), describe(death));
        self.log(level, format!("{worker} died: {cause}{wait}{left}"));
        self.doubt(worker);
    }

    /// A new generation of which a worker dies young is not to be trusted.
    fn doubt(&mut self, worker: &WorkerEntry) {
        let unproven = |it: &&Rollout| it.generation == worker.generation && !it.proven;
        if self.rollout.as_ref().filter(unproven).is_some() && worker.slot().is_some() {
            self.abandon("does not last");
        }
    }

    /// A worker is gone that was to go.
    fn note_leave(
        &mut self,
        worker: &WorkerEntry,
        death: &WorkerExit,
        reason: LeaveReason,
        killed: bool,
    ) {
        let in_time = if killed {
            ", killed by the master: it did not finish within graceful-timeout"
        } else {
            ""
        };
        let clean = match death.exit {
            ExitStatus::Code(code) => code == 0,
            ExitStatus::Signal(_) => !killed && !death.out_of_memory,
        };
        let (fault, ours) = match reason {
            LeaveReason::Retired | LeaveReason::Stopped => (!clean, in_time),
            LeaveReason::Failed => (false, ""),
            LeaveReason::Late => {
                (true, ", killed by the master: it was not ready within boot-timeout")
            }
            LeaveReason::Hung if killed => (true, ", killed by the master: it hung"),
            LeaveReason::Hung => (true, ": it hung"),
        };
        // When the first boot has failed, the reason has been told; but not yet
        // where a worker was that was late.
        let shows = reason == LeaveReason::Late && !death.stacks.is_empty();
        let level = match (self.code, fault) {
            (1.., _) if !shows => Level::Debug,
            (_, true) => Level::Warn,
            (_, false) => Level::Info,
        };
        let cause = if killed { death.exit.to_string() } else { explain(death) };
        self.log(level, format!("{worker} left: {cause}{ours}{}", describe(death)));
    }

    /// A worker did not get ready, for the reason in `text`.
    fn fail_boot(&mut self, worker: &WorkerEntry, code: u8, text: &str, now: Instant) {
        let hint = self.hint(gist(text));
        let line = hint.map_or(String::new(), |hint| format!("\n{hint}"));
        self.tell_once(worker, &format!("{text}{line}"));
        let rollout = self.rollout.as_ref().filter(|it| it.generation == worker.generation);
        let unproven = rollout.is_some_and(|rollout| !rollout.proven);
        if self.state == MasterState::Booting && self.roster.ready().next().is_none() {
            let code = if self.purpose == Purpose::Check { 1 } else { code };
            self.fail(code, text, now);
        } else if unproven {
            let hint = hint.map_or(String::new(), |hint| format!(" ({hint})"));
            self.abandon(&format!("cannot serve: {}{hint}", gist(text)));
        } else {
            self.roster.fail(worker.role, Duration::ZERO, now, &mut self.random);
        }
    }

    /// What to do about a failure that reads as if another worker were its cause.
    fn hint(&self, gist: &str) -> Option<&'static str> {
        let settings = self.settings();
        if !contention::is_likely(gist) {
            None
        } else if self.follows {
            Some("the workers of the old master may have it: restart in place of the upgrade")
        } else if self.roster.ready().next().is_none() {
            None
        } else if settings.preload {
            Some("another process of this server may have it: open it in each worker instead")
        } else if settings.limits.surge() > 0 {
            Some(
                "another worker may have it: with --max-surge 0 --max-unavailable 1 a new worker \
                 starts when an old one has ended",
            )
        } else {
            None
        }
    }

    /// Logs why a worker cannot boot, in full the first time only.
    fn tell_once(&mut self, worker: &WorkerEntry, text: &str) {
        if self.told.len() >= MOST_TOLD {
            self.told.clear();
        }
        let new = self.told.insert(text.to_owned());
        let rest = if new { text } else { "the reason is the same" };
        self.log(Level::Error, format!("{worker} cannot boot: {rest}"));
    }

    /// Does what workers' deadlines, and the master's own, ask for.
    pub(super) fn note_deadlines(&mut self, now: Instant) {
        for id in self.ids() {
            let due = self.roster.get(id).filter(|it| it.deadline().is_some_and(|at| at <= now));
            match due.map(|worker| worker.state) {
                Some(WorkerState::Booting { until, .. }) if until.is_some_and(|at| at <= now) => {
                    self.note_late(id, now);
                }
                // It has lived for as long as a worker must that says nothing.
                Some(WorkerState::Booting { .. }) => self.note_ready(id, self.app.clone(), now),
                Some(WorkerState::Leaving { reason, .. }) => self.kill(id, reason),
                Some(WorkerState::Ready { .. } | WorkerState::Killed { .. }) | None => {}
            }
        }
        self.note_watchdog(now);
        self.note_successor_deadline(now);
        if self.rollout.as_ref().is_some_and(|it| it.deadline.is_some_and(|at| at <= now)) {
            self.abandon("made no progress within progress-deadline");
        }
        if self.inspect.is_some_and(|at| at <= now) {
            self.inspect = Some(now + health::interval(self.settings().timeout));
            self.actions.push(Action::Inspect);
            if self.state == MasterState::Booting || self.rollout.is_some() || self.reload_again {
                self.notify(Notice::Extend(BOOT_EXTENSION));
            }
        }
    }

    /// Tells the init system that all is well, if it is: without any worker to
    /// rely on, a start from scratch is the better chance.
    pub(super) fn note_watchdog(&mut self, now: Instant) {
        let Some((every, at)) = self.watchdog else { return };
        if at > now {
            return;
        }
        self.watchdog = Some((every, now + every));
        self.tell_alive();
    }

    pub(super) fn tell_alive(&mut self) {
        let asked = self.state == MasterState::Serving && self.workers > 0;
        if !asked || self.roster.ready().any(|worker| !worker.is_doomed()) {
            self.notify(Notice::Alive);
        }
    }

    fn note_late(&mut self, id: WorkerId, now: Instant) {
        let limit = self.settings().boot_timeout.as_secs();
        self.abort(id, LeaveReason::Late, now);
        if let Some(worker) = self.roster.get(id).cloned() {
            let text = format!("not ready within boot-timeout ({limit} s)");
            self.fail_boot(&worker, BootFailure::Boot.exit_code(), &text, now);
        }
    }

    /// Lets a worker finish what it has; one that serves nobody has nothing to
    /// finish. A worker that leaves already gets no more time.
    pub(super) fn release(
        &mut self,
        id: WorkerId,
        reason: LeaveReason,
        limit: Duration,
        now: Instant,
    ) {
        let Some(worker) = self.roster.get_mut(id) else { return };
        let serves = worker.is_ready() && worker.slot().is_some();
        match worker.state {
            WorkerState::Booting { .. } | WorkerState::Ready { .. } if !serves => {
                // A mold ends what the application has started at import.
                let limit = if worker.is_ready() { STOP_LIMIT } else { BOOT_STOP_LIMIT };
                worker.state = WorkerState::Leaving { until: now + limit, reason };
                self.actions.push(Action::Signal { worker: id, signal: WorkerSignal::Term });
            }
            WorkerState::Booting { .. } | WorkerState::Ready { .. } => {
                worker.state = WorkerState::Leaving { until: now + limit, reason };
                let drain = match reason {
                    LeaveReason::Stopped => Drain::ServeQueue,
                    LeaveReason::Hung => Drain::Refuse,
                    LeaveReason::Retired | LeaveReason::Failed | LeaveReason::Late => Drain::Retire,
                };
                let message = ToWorker::Drain(drain);
                self.actions.push(Action::Tell { worker: id, message });
            }
            WorkerState::Leaving { until, reason } => {
                worker.state = WorkerState::Leaving { until: until.min(now + limit), reason };
            }
            WorkerState::Killed { .. } => {}
        }
    }

    /// Lets all workers finish what they have. Their molds follow them.
    pub(super) fn release_workers(&mut self, reason: LeaveReason, limit: Duration, now: Instant) {
        let ids: Vec<_> = self.roster.workers().map(|worker| worker.id).collect();
        for id in ids {
            self.release(id, reason, limit, now);
        }
    }

    /// Stops a worker at once.
    pub(super) fn halt(&mut self, id: WorkerId, now: Instant) {
        let Some(worker) = self.roster.get_mut(id) else { return };
        let (signal, until, reason) = match worker.state {
            WorkerState::Booting { .. } => {
                (WorkerSignal::Term, now + BOOT_STOP_LIMIT, LeaveReason::Stopped)
            }
            WorkerState::Ready { .. } => {
                (WorkerSignal::Quit, now + STOP_LIMIT, LeaveReason::Stopped)
            }
            WorkerState::Leaving { until, reason } => {
                (WorkerSignal::Quit, until.min(now + STOP_LIMIT), reason)
            }
            WorkerState::Killed { .. } => return,
        };
        worker.state = WorkerState::Leaving { until, reason };
        // Others are on their way out already, and may be telling why.
        if matches!(reason, LeaveReason::Retired | LeaveReason::Stopped) {
            self.actions.push(Action::Signal { worker: id, signal });
        }
    }

    /// Ends a worker that does not answer, after a chance to show where it is.
    pub(super) fn abort(&mut self, id: WorkerId, reason: LeaveReason, now: Instant) {
        let Some(worker) = self.roster.get_mut(id) else { return };
        worker.state = WorkerState::Leaving { until: now + ABORT_LIMIT, reason };
        self.actions.push(Action::Signal { worker: id, signal: WorkerSignal::Abort });
    }

    fn kill(&mut self, id: WorkerId, reason: LeaveReason) {
        let Some(worker) = self.roster.get_mut(id) else { return };
        worker.state = WorkerState::Killed { reason };
        self.actions.push(Action::Signal { worker: id, signal: WorkerSignal::Kill });
    }
}

/// How a process ended, and who has done it as far as the exit tells.
fn explain(death: &WorkerExit) -> String {
    if death.out_of_memory && death.exit == ExitStatus::Signal(libc::SIGKILL) {
        return format!("{}, by the kernel: out of memory", death.exit);
    }
    match death.exit {
        ExitStatus::Signal(libc::SIGKILL) => format!("{}, not by the master", death.exit),
        ExitStatus::Code(_) | ExitStatus::Signal(_) => death.exit.to_string(),
    }
}

/// The requests that a worker left undone, and where it was.
fn describe(death: &WorkerExit) -> String {
    let mut text = String::new();
    if !death.running.is_empty() {
        text = format!("; it was running {}", death.running.join(", "));
    }
    let stacks = death.stacks.trim_end();
    if !stacks.is_empty() {
        text = format!("{text}\n{stacks}");
    }
    text
}
