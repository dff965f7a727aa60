//! Owns the workers and molds: their entries, their wanted number, the plan for them, the
//! samples of them, and which of their failures are in the log already. Called by the
//! master only, which passes what the server is doing, and gets a `Setback` if a failure
//! concerns the whole server.

mod molds;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use log::{Level, LevelFilter};
use monoceros_log::MessageId;
use monoceros_sys::process::ExitStatus;
use monoceros_wire::Slot;
use monoceros_wire::message::{BootFailure, ToWorker};

use crate::master::decide::action::Actions;
use crate::master::decide::boot_failures::{self, BootFailures, Remedy, Surroundings, last_line};
use crate::master::decide::concerns::Concerns;
use crate::master::decide::event::{SpawnError, WorkerExit};
use crate::master::decide::exit_report;
use crate::master::decide::id::WorkerId;
use crate::master::decide::lifecycle;
use crate::master::decide::monitoring::{Conditions, Monitor};
use crate::master::decide::planner::PlanTarget;
use crate::master::decide::pool_size::PoolSize;
use crate::master::decide::reconcile::{MoldTasks, Reconciler, Wanted};
use crate::master::decide::recycling::{self, Recycler};
use crate::master::decide::reload::{ForkedGeneration, Reload};
use crate::master::decide::roster::{LeaveReason, Role, Roster, WorkerEntry, WorkerState};
use crate::master::decide::sample::WorkerSample;
use crate::master::decide::settings::{MasterSettings, TimeLimits};
use crate::master::decide::suspends::Suspends;

/// A worker that ends with exit code 0 after this time was stopped by an operator
/// (`kill PID`). One that ends earlier has failed.
const INTENDED_EXIT_AGE: Duration = Duration::from_secs(1);

/// The workers and molds, and what is decided about them.
#[derive(Debug)]
pub(crate) struct WorkerPool {
    roster: Roster,
    size: PoolSize,
    reconciler: Reconciler,
    recycler: Recycler,
    boot_failures: BootFailures,
    concerns: Concerns,
    monitor: Monitor,
    /// How long the workers took that have become ready and are not counted yet.
    booted: Vec<Duration>,
}

/// What the server is doing while something happens to a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolContext<'a> {
    /// The generations and their settings.
    pub(crate) reload: &'a Reload,
    /// When the master did not run.
    pub(crate) suspends: &'a Suspends,
    /// What molds are doing beside forking workers.
    pub(crate) tasks: MoldTasks<'a>,
    /// The first generation starts.
    pub(crate) is_booting: bool,
    /// The master only checks whether the application loads.
    pub(crate) is_check: bool,
    /// A predecessor serves with workers of its own.
    pub(crate) follows: bool,
    /// The master is about to end with an error, which is in the log.
    pub(crate) has_failed: bool,
    /// The time of the event.
    pub(crate) now: Instant,
}

/// What the end of a worker means for the whole server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Setback {
    /// The first generation cannot serve: the master ends with this exit code.
    CannotStart {
        /// The exit code.
        code: u8,
        /// The reason.
        reason: String,
    },
    /// The new generation cannot serve: the reload fails.
    ReloadFails {
        /// The reason, in a line.
        reason: String,
        /// All that is known of the cause.
        cause: String,
    },
    /// New code needs what the old worker has, for this reason: the old worker ends first.
    OldEndsFirst(String),
    /// New code cannot be loaded and no worker serves: the next one responds with the failure.
    ShowsFailure,
    /// A worker cannot be started, for this reason. The others go on, and it is tried again.
    WorkerFails(String),
}

impl PoolContext<'_> {
    fn settings(&self) -> &MasterSettings {
        self.reload.settings()
    }

    /// True until a worker has become ready, if this master is to serve and no predecessor
    /// does. A failure to start is then waited out, not reported.
    fn is_first_start(&self) -> bool {
        self.is_booting && !self.is_check && !self.follows
    }
}

impl WorkerPool {
    /// A pool without any process, which is to have this many workers.
    pub(crate) fn new(workers: u16, seed: u64) -> Self {
        Self {
            roster: Roster::new(seed),
            size: PoolSize::new(workers),
            reconciler: Reconciler::default(),
            // Other numbers than those of the roster.
            recycler: Recycler::new(!seed),
            boot_failures: BootFailures::default(),
            concerns: Concerns::default(),
            monitor: Monitor::default(),
            booted: Vec::new(),
        }
    }

    /// Every process that was spawned and is not reaped yet.
    pub(crate) fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Changes entries in a test.
    #[cfg(test)]
    pub(crate) fn roster_mut(&mut self) -> &mut Roster {
        &mut self.roster
    }

    /// The wanted number of workers.
    pub(crate) fn size(&self) -> &PoolSize {
        &self.size
    }

    /// Both, for a change of the wanted number.
    pub(crate) fn size_and_roster(&mut self) -> (&mut PoolSize, &Roster) {
        (&mut self.size, &self.roster)
    }

    /// The identifiers of all workers and molds.
    pub(crate) fn ids(&self) -> Vec<WorkerId> {
        self.roster.everyone().map(|worker| worker.id).collect()
    }

    /// When a process, the plan or the next samples are due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let parts = [self.roster.deadline(), self.reconciler.deadline(), self.monitor.deadline()];
        parts.into_iter().flatten().min()
    }

    /// Moves these times by a suspend of the master.
    pub(crate) fn shift(&mut self, by: Duration) {
        self.roster.shift(by);
        self.monitor.shift(by);
        self.reconciler.shift(by);
    }

    /// Forgets all failures: new code is tried.
    pub(crate) fn forget_failures(&mut self) {
        self.boot_failures.forget();
        self.roster.forget_failures();
    }

    /// New code was given up. Slots that have failed with it need not wait any more.
    pub(crate) fn forget_backoffs(&mut self) {
        self.roster.forget_failures();
    }

    /// What the workers are to become.
    pub(crate) fn target(&self, reload: &Reload, is_booting: bool) -> PlanTarget {
        reload.target(self.size.workers(), is_booting)
    }

    /// Replaces a worker that is due, if it is its turn, and carries out the plan.
    pub(crate) fn reconcile(&mut self, context: PoolContext, actions: &mut Actions) {
        recycling::choose_next(&mut self.roster, context.reload.rolling_to().is_some());
        let forked = context.reload.forked();
        let wanted = self.wanted(context, &forked);
        self.reconciler.reconcile(&mut self.roster, wanted, context.now, actions);
    }

    /// Retires the molds of generations that no longer serve.
    pub(crate) fn reconcile_molds(&mut self, context: PoolContext, actions: &mut Actions) {
        let forked = context.reload.forked();
        let wanted = self.wanted(context, &forked);
        self.reconciler.reconcile_molds(&mut self.roster, wanted, context.now, actions);
    }

    /// What the workers are to be. `forked` is that of the context's generations.
    fn wanted<'a>(&self, context: PoolContext<'a>, forked: &'a [ForkedGeneration]) -> Wanted<'a> {
        let target = self.target(context.reload, context.is_booting);
        let (settings, tasks) = (context.reload.settings(), context.tasks);
        let shows_failure = context.reload.shows_failure();
        Wanted { target, settings, forked, tasks, shows_failure }
    }

    /// Reads the scoreboards from now on.
    pub(crate) fn start_monitor(&mut self, limits: TimeLimits, now: Instant) {
        self.monitor.start(limits, now);
    }

    /// Reads no scoreboard any more.
    pub(crate) fn stop_monitor(&mut self, actions: &mut Actions) {
        self.monitor.stop(actions);
    }

    /// Whether the scoreboards are to be read now; sets the next time if so.
    pub(crate) fn take_inspection(&mut self, limits: TimeLimits, now: Instant) -> bool {
        self.monitor.take_due(limits, now)
    }

    /// Lets all workers drain. Their molds end after them.
    pub(crate) fn drain(
        &mut self,
        reason: LeaveReason,
        limit: Duration,
        now: Instant,
        actions: &mut Actions,
    ) {
        lifecycle::drain_workers(&mut self.roster, reason, limit, now, actions);
    }

    /// Stops all processes at once, but for molds with a configuration file, which end after their
    /// workers and their hooks.
    pub(crate) fn stop(&mut self, now: Instant, actions: &mut Actions) {
        let waits = |it: &WorkerEntry| it.has_file && it.is_ready();
        let stopped = self.roster.everyone().filter(|it| !waits(it)).map(|it| it.id);
        for id in stopped.collect::<Vec<_>>() {
            lifecycle::stop(&mut self.roster, id, now, actions);
        }
    }

    /// Has all processes write records from this level up to the error log.
    pub(crate) fn set_log_level(&self, level: LevelFilter, actions: &mut Actions) {
        for id in self.ids() {
            actions.send(id, ToWorker::LogLevel(level));
        }
    }

    /// Has all processes open their log files again.
    pub(crate) fn reopen_logs(&self, actions: &mut Actions) {
        for id in self.ids() {
            actions.send(id, ToWorker::Reopen);
        }
    }

    /// Reports to workers that the server is about to end.
    pub(crate) fn announce_end(&self, actions: &mut Actions) {
        for worker in self.roster.workers() {
            actions.send(worker.id, ToWorker::Leave);
        }
    }

    /// An operator asks for the replacement of workers: see [`recycling::mark_due`].
    pub(crate) fn recycle(
        &mut self,
        slot: Option<Slot>,
        actions: &mut Actions,
    ) -> BTreeSet<WorkerId> {
        recycling::mark_due(&mut self.roster, slot, actions)
    }

    /// A process exists. Returns whether it is a worker.
    pub(crate) fn note_pid(
        &mut self,
        id: WorkerId,
        pid: i32,
        now: Instant,
        actions: &mut Actions,
    ) -> bool {
        let Some(worker) = self.roster.get_mut(id) else { return false };
        (worker.pid, worker.spawned) = (pid, Some(now));
        actions.log(Level::Debug, format!("{worker} spawned"));
        worker.slot().is_some()
    }

    /// How long the workers took to become ready that have done so since the last call.
    pub(crate) fn take_booted(&mut self) -> Vec<Duration> {
        std::mem::take(&mut self.booted)
    }

    /// A worker can serve, or a mold can fork.
    pub(crate) fn note_ready(
        &mut self,
        id: WorkerId,
        app: String,
        context: PoolContext,
        actions: &mut Actions,
    ) {
        let Some(worker) = self.roster.get_mut(id) else { return };
        if matches!(worker.state, WorkerState::Leaving { .. }) {
            return self.note_late_ready(id, context, actions);
        }
        if !matches!(worker.state, WorkerState::Booting { .. }) {
            return;
        }
        worker.state = WorkerState::Ready { since: context.now };
        worker.ready_since = Some(context.now);
        actions.log(Level::Info, format!("{worker} ready"));
        if let Role::Worker(_) = worker.role {
            let spawned = worker.spawned.unwrap_or(context.now);
            self.booted.push(context.now.saturating_duration_since(spawned));
            self.recycler.allot(worker, context.settings().recycling, context.now);
            self.roster.set_app(app);
        }
    }

    /// A worker has found something in the application that the operator should correct.
    pub(crate) fn note_concern(
        &mut self,
        id: WorkerId,
        text: &str,
        is_grave: bool,
        actions: &mut Actions,
    ) {
        let Some(worker) = self.roster.get(id) else { return };
        if worker.is_live() {
            self.concerns.report(worker.generation, text, is_grave, actions);
        }
    }

    /// A worker asks for its own replacement.
    pub(crate) fn note_retirement(&mut self, id: WorkerId, reason: &str, actions: &mut Actions) {
        if let Some(worker) = self.roster.get_mut(id) {
            recycling::note_retirement(worker, reason, actions);
        }
    }

    /// A worker sets after how many requests it is replaced.
    pub(crate) fn note_allotment(&mut self, id: WorkerId, requests: u32) {
        if let Some(worker) = self.roster.get_mut(id) {
            recycling::note_allotment(worker, requests);
        }
    }

    /// A worker became ready after it was asked to leave.
    pub(crate) fn note_late_ready(
        &mut self,
        id: WorkerId,
        context: PoolContext,
        actions: &mut Actions,
    ) {
        let limit = context.settings().graceful_timeout;
        lifecycle::drain_late(&mut self.roster, id, limit, context.now, actions);
    }

    /// A worker reported why it cannot serve. Its exit follows.
    pub(crate) fn note_failure(
        &mut self,
        id: WorkerId,
        code: u8,
        text: &str,
        context: PoolContext,
        actions: &mut Actions,
    ) -> Option<Setback> {
        if !lifecycle::leave_failed(&mut self.roster, id, context.now) {
            return None;
        }
        let worker = self.roster.get(id).cloned()?;
        self.fail_boot(&worker, code, text, context, actions)
    }

    /// A process could not be made, or did not become the program that was meant.
    pub(crate) fn note_spawn_failure(
        &mut self,
        id: WorkerId,
        error: &SpawnError,
        context: PoolContext,
        actions: &mut Actions,
    ) -> Option<Setback> {
        let worker = self.roster.remove(id).filter(WorkerEntry::is_live)?;
        let SpawnError { text, is_temporary, code } = error;
        if *is_temporary && context.is_first_start() {
            let text = format!("{text}; trying again");
            self.boot_failures.report(&worker, &text, actions);
            self.roster.fail(worker.role, Duration::ZERO, context.now);
            return None;
        }
        let code = code.unwrap_or(BootFailure::Interpreter.exit_code());
        self.fail_boot(&worker, code, text, context, actions)
    }

    /// A process that was asked to leave does not exist.
    pub(crate) fn forget(&mut self, id: WorkerId) {
        self.roster.remove(id);
    }

    /// The process of a worker was reaped.
    pub(crate) fn note_exit(
        &mut self,
        id: WorkerId,
        exit: &WorkerExit,
        context: PoolContext,
        actions: &mut Actions,
    ) -> Option<Setback> {
        let worker = self.roster.remove(id)?;
        let (reason, killed) = match worker.state {
            WorkerState::Booting { .. } => {
                let (cause, rest) = (exit_report::cause(exit), exit_report::unfinished(exit));
                let text = format!("it ended with {cause} before it was ready{rest}");
                let code = BootFailure::Boot.exit_code();
                return self.fail_boot(&worker, code, &text, context, actions);
            }
            WorkerState::Ready { .. } => return self.note_death(&worker, exit, context, actions),
            WorkerState::Leaving { reason, .. } => (reason, false),
            WorkerState::Killed { reason } => (reason, true),
        };
        let has_failed = context.has_failed;
        let (level, text) = exit_report::left(&worker, exit, reason, killed, has_failed);
        actions.log(level, text);
        None
    }

    /// A worker that served ended, and the master had not asked it to.
    fn note_death(
        &mut self,
        worker: &WorkerEntry,
        exit: &WorkerExit,
        context: PoolContext,
        actions: &mut Actions,
    ) -> Option<Setback> {
        let lived = worker.lived(context.now);
        let intended = exit.status == ExitStatus::Code(0) && lived >= INTENDED_EXIT_AGE;
        let (level, wait) = if intended {
            self.roster.pause(worker.role, context.now);
            (Level::Warn, String::new())
        } else {
            let wait = self.roster.fail(worker.role, lived, context.now);
            (Level::Error, format!("; the next one in {:.1} s", wait.as_secs_f64()))
        };
        let (cause, rest) = (exit_report::cause(exit), exit_report::unfinished(exit));
        let text = format!("{worker} died: {cause}{wait}{rest}");
        if intended {
            actions.log(level, text.as_str());
        } else {
            actions.log_event(level, MessageId::WorkerCrashed, text.as_str());
        }
        let is_new_code = context.reload.is_unproven(worker) && worker.slot().is_some();
        is_new_code
            .then(|| Setback::ReloadFails { reason: "does not last".to_owned(), cause: text })
    }

    /// Does what the deadline of a process asks for, if it has passed.
    pub(crate) fn note_deadline(
        &mut self,
        id: WorkerId,
        context: PoolContext,
        actions: &mut Actions,
    ) -> Option<Setback> {
        let now = context.now;
        let due = self.roster.get(id).filter(|it| it.deadline().is_some_and(|at| at <= now))?;
        match due.state {
            WorkerState::Booting { until, .. } if until.is_some_and(|at| at <= now) => {
                return self.note_late(id, context, actions);
            }
            // A program that does not notify has lived for `ready-after`.
            WorkerState::Booting { .. } => {
                self.note_ready(id, self.roster.app().to_owned(), context, actions);
            }
            WorkerState::Leaving { reason, .. } => {
                lifecycle::kill(&mut self.roster, id, reason, actions);
            }
            WorkerState::Ready { .. } | WorkerState::Killed { .. } => {}
        }
        None
    }

    fn note_late(
        &mut self,
        id: WorkerId,
        context: PoolContext,
        actions: &mut Actions,
    ) -> Option<Setback> {
        let limit = context.settings().boot_timeout.as_secs();
        lifecycle::abort(&mut self.roster, id, LeaveReason::Late, context.now, actions);
        let worker = self.roster.get(id).cloned()?;
        let text = format!("not ready within boot-timeout ({limit} s)");
        self.fail_boot(&worker, BootFailure::Boot.exit_code(), &text, context, actions)
    }

    /// A worker did not become ready, for the reason in `text`.
    fn fail_boot(
        &mut self,
        worker: &WorkerEntry,
        code: u8,
        text: &str,
        context: PoolContext,
        actions: &mut Actions,
    ) -> Option<Setback> {
        let settings = context.settings();
        let beside = Surroundings {
            predecessor: context.follows,
            other_worker: self.roster.ready().next().is_some(),
            mold: settings.preload || settings.has_file,
            surge: settings.limits.surge() > 0,
        };
        if let Some(remedy) = find_remedy(worker, text, beside, context) {
            return self.remedy_boot(remedy, worker, text, context, actions);
        }
        let hint = boot_failures::hint(last_line(text), beside);
        let line = hint.map_or(String::new(), |hint| format!("\n{hint}"));
        self.boot_failures.report(worker, &format!("{text}{line}"), actions);
        if context.is_booting && !beside.other_worker {
            let code = if context.is_check { 1 } else { code };
            Some(Setback::CannotStart { code, reason: text.to_owned() })
        } else if context.reload.is_unproven(worker) {
            let hint = hint.map_or(String::new(), |hint| format!(" ({hint})"));
            let reason = format!("cannot serve: {}{hint}", last_line(text));
            Some(Setback::ReloadFails { reason, cause: text.to_owned() })
        } else {
            self.roster.fail(worker.role, Duration::ZERO, context.now);
            Some(Setback::WorkerFails(format!("{worker} cannot serve: {}", last_line(text))))
        }
    }

    /// A worker with new code did not become ready, and there is a remedy.
    fn remedy_boot(
        &mut self,
        remedy: Remedy,
        worker: &WorkerEntry,
        text: &str,
        context: PoolContext,
        actions: &mut Actions,
    ) -> Option<Setback> {
        match remedy {
            Remedy::OldEndsFirst => {
                let text = format!("{worker} cannot boot: {}", last_line(text));
                Some(Setback::OldEndsFirst(text))
            }
            Remedy::Retry => {
                self.boot_failures.report(worker, text, actions);
                self.roster.fail(worker.role, Duration::ZERO, context.now);
                None
            }
            Remedy::ShowFailure => Some(Setback::ShowsFailure),
        }
    }

    /// Judges the samples of the scoreboards.
    pub(crate) fn note_samples(
        &mut self,
        samples: &[WorkerSample],
        context: PoolContext,
        actions: &mut Actions,
    ) {
        let PoolContext { suspends, now, .. } = context;
        let conditions = Conditions { settings: context.settings(), suspends, now };
        self.monitor.judge(&mut self.roster, samples, conditions, actions);
    }
}

/// The remedy for a worker that did not become ready, if it has new code.
fn find_remedy(
    worker: &WorkerEntry,
    text: &str,
    beside: Surroundings,
    context: PoolContext,
) -> Option<Remedy> {
    let reload = context.reload;
    let may_help = reload.is_unproven(worker)
        && worker.slot().is_some()
        && reload.settings().can_end_old_first()
        && !reload.shows_failure();
    may_help.then(|| boot_failures::remedy(last_line(text), beside, reload.is_exclusive()))?
}

#[cfg(test)]
mod tests;
