//! The state machine of the master: `step` takes an event and returns actions. Owns the
//! state, the roster and every other part; each part keeps its fields to itself and says
//! in its first line what it owns. Called by the event loop.

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use log::Level;
use monoceros_config::SignalCommand;
use monoceros_sys::process::ExitStatus;
use monoceros_wire::Generation;
use monoceros_wire::control::{ControlReply, ControlRequest, Status};
use monoceros_wire::message::{BootFailure, ToWorker};

use crate::master::decide::action::{Action, Actions, Notice, WorkerSignal};
use crate::master::decide::boot_failures::{self, BootFailures, Surroundings, last_line};
use crate::master::decide::commands::{LEAVING, REPLACED, WaitingClients, list_workers};
use crate::master::decide::event::{BindError, MasterEvent, SpawnError, WorkerExit};
use crate::master::decide::exit_report;
use crate::master::decide::id::{ClientId, WorkerId};
use crate::master::decide::lifecycle::{self, STOP_LIMIT};
use crate::master::decide::monitoring::{Conditions, Monitor, judge_samples};
use crate::master::decide::planner::PlanTarget;
use crate::master::decide::pool_size::PoolSize;
use crate::master::decide::reconcile::{Reconciler, Wanted, retire_molds};
use crate::master::decide::recycling::{self, Recycler};
use crate::master::decide::reload::Reload;
use crate::master::decide::roster::{LeaveReason, Role, Roster, WorkerEntry, WorkerState};
use crate::master::decide::sample::WorkerSample;
use crate::master::decide::settings::MasterSettings;
use crate::master::decide::state::{MasterState, Purpose};
use crate::master::decide::status_line::{StatusFacts, StatusLine};
use crate::master::decide::succession::Succession;
use crate::master::decide::suspends::Suspends;
use crate::master::decide::watchdog::Watchdog;

/// How long an address may be in use before the master gives up.
const BIND_LIMIT: Duration = Duration::from_secs(5);
/// How long it waits before it tries again.
const BIND_RETRY: Duration = Duration::from_secs(1);
/// A worker that ends with exit code 0 after this time was stopped by an operator
/// (`kill PID`); before, it has failed.
const INTENDED_EXIT_AGE: Duration = Duration::from_secs(1);
/// The additional time that a start or a reload asks the init system for, at each sample.
const BOOT_EXTENSION: Duration = Duration::from_secs(15);

/// What a master finds when it begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StartContext {
    /// What it was started for.
    pub(crate) purpose: Purpose,
    /// The number of its first generation.
    pub(crate) generation: Generation,
    /// A predecessor serves, and has not passed everything on yet.
    pub(crate) follows: bool,
    /// The number of workers, if an operator has changed it.
    pub(crate) workers: Option<u16>,
    /// The time after which the init system takes the server for hung.
    pub(crate) watchdog: Option<Duration>,
    /// The seed of the random numbers.
    pub(crate) seed: u64,
}

/// The decisions of the master.
#[derive(Debug)]
pub(crate) struct Master {
    purpose: Purpose,
    state: MasterState,
    /// The exit code that it ends with.
    code: u8,
    roster: Roster,
    pool: PoolSize,
    reload: Reload,
    reconciler: Reconciler,
    recycler: Recycler,
    boot_failures: BootFailures,
    monitor: Monitor,
    suspends: Suspends,
    succession: Succession,
    clients: WaitingClients,
    status: StatusLine,
    watchdog: Watchdog,
    actions: Actions,
}

impl Master {
    /// A master of which nothing exists yet, whose settings are read.
    pub(crate) fn new(context: StartContext, settings: MasterSettings, now: Instant) -> Self {
        let StartContext { purpose, generation, follows, workers, watchdog, seed } = context;
        Self {
            purpose,
            state: MasterState::Binding { retry: None, until: None },
            code: 0,
            roster: Roster::new(seed),
            pool: PoolSize::new(workers.unwrap_or(settings.workers)),
            reload: Reload::new(generation, settings),
            reconciler: Reconciler::default(),
            recycler: Recycler::new(!seed),
            boot_failures: BootFailures::default(),
            monitor: Monitor::default(),
            suspends: Suspends::since(now),
            succession: Succession::new(follows),
            clients: WaitingClients::default(),
            status: StatusLine::default(),
            watchdog: Watchdog::new(watchdog, now),
            actions: Actions::new(purpose),
        }
    }

    /// The first thing to do.
    pub(crate) fn begin(&mut self) -> Vec<Action> {
        vec![Action::Bind]
    }

    /// Decides what to do about an event.
    pub(crate) fn step(&mut self, event: MasterEvent, now: Instant) -> Vec<Action> {
        self.account_for_suspend(now);
        if let MasterEvent::SettingsRead { generation, .. } = event {
            self.reload.note_read(generation);
        }
        match self.state {
            MasterState::Binding { retry, until } => self.step_binding(event, retry, until, now),
            MasterState::Booting => self.step_booting(event, now),
            MasterState::Serving => self.step_serving(event, now),
            MasterState::Delaying { until } => self.step_delaying(event, until, now),
            MasterState::Draining => self.step_draining(event, now),
            MasterState::Stopping => self.step_stopping(event, now),
            MasterState::Stopped => {}
        }
        self.proceed(now);
        self.suspends.expect(self.next_deadline(), now);
        self.actions.take()
    }

    /// When [`MasterEvent::Elapsed`] is to come, unless something happens before.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let step = match self.state {
            MasterState::Binding { retry, .. } => retry,
            MasterState::Delaying { until } => Some(until),
            MasterState::Booting
            | MasterState::Serving
            | MasterState::Draining
            | MasterState::Stopping => None,
            MasterState::Stopped => return None,
        };
        let parts = [
            step,
            self.roster.deadline(),
            self.reload.deadline(),
            self.reconciler.deadline(),
            self.monitor.deadline(),
            self.succession.deadline(),
            self.watchdog.deadline(),
        ];
        parts.into_iter().flatten().min()
    }

    fn step_binding(
        &mut self,
        event: MasterEvent,
        retry: Option<Instant>,
        until: Option<Instant>,
        now: Instant,
    ) {
        match event {
            MasterEvent::Bound(Ok(())) => self.state = MasterState::Booting,
            MasterEvent::Bound(Err(failure)) => self.retry_binding(failure, until, now),
            MasterEvent::Signalled(SignalCommand::Drain | SignalCommand::Stop) => {
                self.state = MasterState::Stopping
            }
            MasterEvent::Signalled(command) => self.adjust(command, now),
            MasterEvent::Requested { client, request } => self.take_command(client, request, now),
            MasterEvent::TookOver { workers } => self.take_over(workers),
            MasterEvent::Elapsed => {
                self.note_watchdog(now);
                if retry.is_some_and(|retry| retry <= now) {
                    self.state = MasterState::Binding { retry: None, until };
                    self.actions.push(Action::Bind);
                }
            }
            MasterEvent::Spawned { .. }
            | MasterEvent::SpawnFailed { .. }
            | MasterEvent::Ready { .. }
            | MasterEvent::Failed { .. }
            | MasterEvent::Exited { .. }
            | MasterEvent::Inspected(_)
            | MasterEvent::SuccessorStarted { .. }
            | MasterEvent::SuccessorReady
            | MasterEvent::SuccessorEnded { .. }
            | MasterEvent::SettingsRead { .. } => {}
        }
    }

    fn step_booting(&mut self, event: MasterEvent, now: Instant) {
        match event {
            MasterEvent::Signalled(SignalCommand::Drain) => self.begin_shutdown(now),
            MasterEvent::Signalled(SignalCommand::Stop) => self.stop(0, now),
            MasterEvent::Signalled(command) => self.adjust(command, now),
            MasterEvent::Spawned { worker, pid } => self.note_pid(worker, pid),
            MasterEvent::SpawnFailed { worker, error } => {
                self.note_spawn_failure(worker, &error, now);
            }
            MasterEvent::Ready { worker, app } => self.note_ready(worker, app, now),
            MasterEvent::Failed { worker, failure, text } => {
                self.note_failure(worker, failure.exit_code(), &text, now);
            }
            MasterEvent::Exited { worker, exit } => self.note_exit(worker, &exit, now),
            MasterEvent::Inspected(samples) => self.note_samples(&samples, now),
            MasterEvent::Requested { client, request } => self.take_command(client, request, now),
            MasterEvent::TookOver { workers } => self.take_over(workers),
            MasterEvent::Elapsed => self.note_deadlines(now),
            MasterEvent::Bound(_)
            | MasterEvent::SuccessorStarted { .. }
            | MasterEvent::SuccessorReady
            | MasterEvent::SuccessorEnded { .. }
            | MasterEvent::SettingsRead { .. } => {}
        }
    }

    fn step_serving(&mut self, event: MasterEvent, now: Instant) {
        match event {
            MasterEvent::Signalled(SignalCommand::Drain) => self.begin_shutdown(now),
            MasterEvent::Signalled(SignalCommand::Stop) => self.stop(0, now),
            MasterEvent::Signalled(command) => self.adjust(command, now),
            MasterEvent::SettingsRead { generation, settings: Ok(settings) } => {
                self.begin_rollout(generation, settings, now)
            }
            MasterEvent::SettingsRead { generation, settings: Err(text) } => {
                self.refuse_reload(generation, &text)
            }
            MasterEvent::Spawned { worker, pid } => self.note_pid(worker, pid),
            MasterEvent::SpawnFailed { worker, error } => {
                self.note_spawn_failure(worker, &error, now);
            }
            MasterEvent::Ready { worker, app } => self.note_ready(worker, app, now),
            MasterEvent::Failed { worker, failure, text } => {
                self.note_failure(worker, failure.exit_code(), &text, now);
            }
            MasterEvent::Exited { worker, exit } => self.note_exit(worker, &exit, now),
            MasterEvent::Inspected(samples) => self.note_samples(&samples, now),
            MasterEvent::SuccessorStarted { pid } => {
                self.succession.note_started(pid, &mut self.actions)
            }
            MasterEvent::SuccessorReady => self.hand_over(now),
            MasterEvent::SuccessorEnded { text } => self.lose_successor(&text),
            MasterEvent::Requested { client, request } => self.take_command(client, request, now),
            MasterEvent::TookOver { workers } => self.take_over(workers),
            MasterEvent::Elapsed => self.note_deadlines(now),
            MasterEvent::Bound(_) => {}
        }
    }

    /// As while it serves, but nothing begins that would outlast this master.
    fn step_delaying(&mut self, event: MasterEvent, until: Instant, now: Instant) {
        match event {
            MasterEvent::Signalled(SignalCommand::Drain) => self.drain(now),
            MasterEvent::Signalled(
                SignalCommand::Reload | SignalCommand::Upgrade | SignalCommand::Withdraw,
            ) => self.refuse_signal(),
            MasterEvent::SuccessorEnded { .. } => drop(self.succession.note_ended()),
            MasterEvent::SuccessorReady => {}
            MasterEvent::Elapsed => {
                self.note_deadlines(now);
                if until <= now {
                    self.drain(now);
                }
            }
            event @ (MasterEvent::Signalled(
                SignalCommand::Stop
                | SignalCommand::Add
                | SignalCommand::Remove
                | SignalCommand::Reopen,
            )
            | MasterEvent::Bound(_)
            | MasterEvent::Spawned { .. }
            | MasterEvent::SpawnFailed { .. }
            | MasterEvent::Ready { .. }
            | MasterEvent::Failed { .. }
            | MasterEvent::Exited { .. }
            | MasterEvent::Inspected(_)
            | MasterEvent::SettingsRead { .. }
            | MasterEvent::SuccessorStarted { .. }
            | MasterEvent::Requested { .. }
            | MasterEvent::TookOver { .. }) => self.step_serving(event, now),
        }
    }

    fn step_draining(&mut self, event: MasterEvent, now: Instant) {
        match event {
            // It drains already, since its successor serves.
            MasterEvent::Signalled(SignalCommand::Drain) if self.succession.take_first_drain() => {}
            MasterEvent::Signalled(SignalCommand::Drain | SignalCommand::Stop) => self.stop(0, now),
            MasterEvent::Signalled(SignalCommand::Reopen) => self.reopen(),
            MasterEvent::Spawned { worker, pid } => self.note_pid(worker, pid),
            MasterEvent::SpawnFailed { worker, .. } => drop(self.roster.remove(worker)),
            MasterEvent::Exited { worker, exit } => self.note_exit(worker, &exit, now),
            MasterEvent::Inspected(samples) => self.note_samples(&samples, now),
            MasterEvent::SuccessorStarted { pid } => {
                self.succession.note_started(pid, &mut self.actions)
            }
            MasterEvent::SuccessorEnded { .. } => drop(self.succession.note_ended()),
            MasterEvent::Requested { client, request } => self.take_command(client, request, now),
            MasterEvent::TookOver { workers } => self.take_over(workers),
            MasterEvent::Elapsed => self.note_deadlines(now),
            MasterEvent::Ready { worker, .. } => self.note_late_ready(worker, now),
            MasterEvent::Signalled(
                SignalCommand::Reload
                | SignalCommand::Add
                | SignalCommand::Remove
                | SignalCommand::Upgrade
                | SignalCommand::Withdraw,
            )
            | MasterEvent::Bound(_)
            | MasterEvent::Failed { .. }
            | MasterEvent::SuccessorReady
            | MasterEvent::SettingsRead { .. } => {}
        }
    }

    fn step_stopping(&mut self, event: MasterEvent, now: Instant) {
        match event {
            MasterEvent::Signalled(SignalCommand::Reopen) => self.reopen(),
            MasterEvent::Spawned { worker, pid } => self.note_pid(worker, pid),
            MasterEvent::SpawnFailed { worker, .. } => drop(self.roster.remove(worker)),
            MasterEvent::Exited { worker, exit } => self.note_exit(worker, &exit, now),
            MasterEvent::SuccessorStarted { pid } => {
                self.succession.note_started(pid, &mut self.actions)
            }
            MasterEvent::SuccessorEnded { .. } => drop(self.succession.note_ended()),
            MasterEvent::Requested { client, request } => self.take_command(client, request, now),
            MasterEvent::TookOver { workers } => self.take_over(workers),
            MasterEvent::Elapsed => self.note_deadlines(now),
            MasterEvent::Signalled(
                SignalCommand::Drain
                | SignalCommand::Stop
                | SignalCommand::Reload
                | SignalCommand::Add
                | SignalCommand::Remove
                | SignalCommand::Upgrade
                | SignalCommand::Withdraw,
            )
            | MasterEvent::Bound(_)
            | MasterEvent::Ready { .. }
            | MasterEvent::Failed { .. }
            | MasterEvent::Inspected(_)
            | MasterEvent::SuccessorReady
            | MasterEvent::SettingsRead { .. } => {}
        }
    }

    /// Carries out a command that does not end the master.
    fn adjust(&mut self, command: SignalCommand, now: Instant) {
        match command {
            SignalCommand::Reload => self.ask_reload(),
            SignalCommand::Add => self.pool.add(&self.roster, &mut self.actions),
            SignalCommand::Remove => self.pool.remove(&self.roster, &mut self.actions),
            SignalCommand::Reopen => self.reopen(),
            SignalCommand::Upgrade => {
                if let Err(reason) = self.upgrade(now) {
                    self.actions.log(Level::Warn, reason);
                }
            }
            SignalCommand::Withdraw if self.state == MasterState::Serving => {
                self.pool.withdraw(&self.roster, &mut self.actions);
            }
            SignalCommand::Withdraw | SignalCommand::Drain | SignalCommand::Stop => {}
        }
    }

    /// What follows from the state of things, whatever happened.
    fn proceed(&mut self, now: Instant) {
        match self.state {
            MasterState::Booting | MasterState::Serving | MasterState::Delaying { .. } => {
                recycling::choose_next(&mut self.roster, self.reload.rolling_to().is_some());
                self.reconcile(now);
                self.note_progress(now);
                self.monitor.start(self.settings().timeout, now);
            }
            MasterState::Draining | MasterState::Stopping => {
                self.reconciler.stop();
                self.reload.cancel();
                self.clients.dismiss_all(LEAVING, &mut self.actions);
                let (kept, reason) = (&[], LeaveReason::Stopped);
                retire_molds(&mut self.roster, kept, reason, now, &mut self.actions);
                // A request may still take too long while the rest is finished.
                if self.state == MasterState::Draining {
                    self.monitor.start(self.settings().timeout, now);
                } else {
                    self.monitor.stop();
                }
                if self.roster.is_empty() && !self.succession.is_upgrading() {
                    self.state = MasterState::Stopped;
                    self.actions.push(Action::Exit(self.code));
                }
            }
            MasterState::Binding { .. } | MasterState::Stopped => {}
        }
    }

    /// Moves every deadline when the master has been stopped or suspended: the workers may
    /// have been too, and their messages could not be read.
    fn account_for_suspend(&mut self, now: Instant) {
        let Some(length) = self.suspends.detect(self.reload.settings().timeout, now) else {
            return;
        };
        self.roster.shift(length);
        self.monitor.shift(length);
        self.reconciler.shift(length);
        self.reload.shift(length);
        self.succession.shift(length);
        let text = format!("the master was not running for {:.1} s", length.as_secs_f64());
        self.actions.log(Suspends::level(length), text);
    }

    /// Does what the deadlines of processes, and of the master, ask for.
    fn note_deadlines(&mut self, now: Instant) {
        for id in self.ids() {
            let due = self.roster.get(id).filter(|it| it.deadline().is_some_and(|at| at <= now));
            match due.map(|worker| worker.state) {
                Some(WorkerState::Booting { until, .. }) if until.is_some_and(|at| at <= now) => {
                    self.note_late(id, now);
                }
                // A program that does not notify has lived for `ready-after`.
                Some(WorkerState::Booting { .. }) => {
                    self.note_ready(id, self.roster.app().to_owned(), now);
                }
                Some(WorkerState::Leaving { reason, .. }) => {
                    lifecycle::kill(&mut self.roster, id, reason, &mut self.actions);
                }
                Some(WorkerState::Ready { .. } | WorkerState::Killed { .. }) | None => {}
            }
        }
        self.note_watchdog(now);
        self.note_successor_deadline(now);
        if self.reload.is_overdue(now) {
            self.abandon_reload("made no progress within progress-deadline");
        }
        if self.monitor.take_due(self.reload.settings().timeout, now) {
            self.actions.push(Action::Inspect);
            let boots = self.state == MasterState::Booting;
            if boots || self.reload.rolling_to().is_some() || self.reload.is_put_off() {
                self.actions.notify(Notice::Extend(BOOT_EXTENSION));
            }
        }
    }

    fn settings(&self) -> &MasterSettings {
        self.reload.settings()
    }

    fn ids(&self) -> Vec<WorkerId> {
        self.roster.everyone().map(|worker| worker.id).collect()
    }

    fn reopen(&mut self) {
        self.actions.push(Action::Reopen);
        for id in self.ids() {
            self.actions.send(id, ToWorker::Reopen);
        }
    }
}

/// Binding: before any worker exists.
impl Master {
    fn retry_binding(&mut self, error: BindError, until: Option<Instant>, now: Instant) {
        let until = until.unwrap_or(now + BIND_LIMIT);
        if error.in_use && now < until {
            self.actions.log(Level::Warn, format!("{}; trying again", error.text));
            self.state = MasterState::Binding { retry: Some(now + BIND_RETRY), until: Some(until) };
        } else {
            self.actions.log(Level::Error, error.text.as_str());
            self.fail(1, &error.text, now);
        }
    }
}

/// Workers and molds: what the master makes of what happens to them.
impl Master {
    fn note_pid(&mut self, id: WorkerId, pid: i32) {
        if let Some(worker) = self.roster.get_mut(id) {
            worker.pid = pid;
            self.actions.log(Level::Debug, format!("{worker} spawned"));
        }
    }

    fn note_ready(&mut self, id: WorkerId, app: String, now: Instant) {
        let Some(worker) = self.roster.get_mut(id) else { return };
        if matches!(worker.state, WorkerState::Leaving { .. }) {
            return self.note_late_ready(id, now);
        }
        if !matches!(worker.state, WorkerState::Booting { .. }) {
            return;
        }
        worker.state = WorkerState::Ready { since: now };
        self.actions.log(Level::Info, format!("{worker} ready"));
        if let Role::Worker(_) = worker.role {
            self.recycler.allot(worker, self.reload.settings().recycling, now);
            self.roster.set_app(app);
        }
    }

    fn note_late_ready(&mut self, id: WorkerId, now: Instant) {
        let limit = self.settings().graceful_timeout;
        lifecycle::drain_late(&mut self.roster, id, limit, now, &mut self.actions);
    }

    /// A worker reported why it cannot serve. Its exit follows.
    fn note_failure(&mut self, id: WorkerId, code: u8, text: &str, now: Instant) {
        if lifecycle::leave_failed(&mut self.roster, id, now)
            && let Some(worker) = self.roster.get(id).cloned()
        {
            self.fail_boot(&worker, code, text, now);
        }
    }

    /// A process could not be made, or did not become the program that was meant.
    fn note_spawn_failure(&mut self, id: WorkerId, error: &SpawnError, now: Instant) {
        let Some(worker) = self.roster.remove(id) else { return };
        if !worker.is_live() {
            return;
        }
        let SpawnError { text, is_temporary } = error;
        if *is_temporary && self.is_first_start() {
            let text = format!("{text}; trying again");
            self.boot_failures.report(&worker, &text, &mut self.actions);
            self.roster.fail(worker.role, Duration::ZERO, now);
        } else {
            self.fail_boot(&worker, BootFailure::Interpreter.exit_code(), text, now);
        }
    }

    /// True during the first start: no worker has been ready yet, and no predecessor
    /// serves. The server is waited for.
    fn is_first_start(&self) -> bool {
        let is_alone = self.purpose == Purpose::Serve && !self.succession.follows();
        self.state == MasterState::Booting && is_alone
    }

    /// The process of a worker was reaped.
    fn note_exit(&mut self, id: WorkerId, exit: &WorkerExit, now: Instant) {
        let Some(worker) = self.roster.remove(id) else { return };
        self.status.add_ended(worker.observed.requests, &exit.losses);
        let (reason, killed) = match worker.state {
            WorkerState::Booting { .. } => {
                let (cause, rest) = (exit_report::cause(exit), exit_report::unfinished(exit));
                let text = format!("it ended with {cause} before it was ready{rest}");
                return self.fail_boot(&worker, BootFailure::Boot.exit_code(), &text, now);
            }
            WorkerState::Ready { .. } => return self.note_death(&worker, exit, now),
            WorkerState::Leaving { reason, .. } => (reason, false),
            WorkerState::Killed { reason } => (reason, true),
        };
        let (level, text) = exit_report::left(&worker, exit, reason, killed, self.code > 0);
        self.actions.log(level, text);
    }

    /// A worker that served ended without having been told to.
    fn note_death(&mut self, worker: &WorkerEntry, exit: &WorkerExit, now: Instant) {
        let lived = worker.lived(now);
        let intended = exit.status == ExitStatus::Code(0) && lived >= INTENDED_EXIT_AGE;
        let (level, wait) = if intended {
            self.roster.pause(worker.role, now);
            (Level::Warn, String::new())
        } else {
            let wait = self.roster.fail(worker.role, lived, now);
            (Level::Error, format!("; the next one in {:.1} s", wait.as_secs_f64()))
        };
        let (cause, rest) = (exit_report::cause(exit), exit_report::unfinished(exit));
        self.actions.log(level, format!("{worker} died: {cause}{wait}{rest}"));
        if self.reload.is_unproven(worker) && worker.slot().is_some() {
            self.abandon_reload("does not last");
        }
    }

    fn note_late(&mut self, id: WorkerId, now: Instant) {
        let limit = self.settings().boot_timeout.as_secs();
        lifecycle::abort(&mut self.roster, id, LeaveReason::Late, now, &mut self.actions);
        if let Some(worker) = self.roster.get(id).cloned() {
            let text = format!("not ready within boot-timeout ({limit} s)");
            self.fail_boot(&worker, BootFailure::Boot.exit_code(), &text, now);
        }
    }

    /// A worker did not become ready, for the reason in `text`.
    fn fail_boot(&mut self, worker: &WorkerEntry, code: u8, text: &str, now: Instant) {
        let settings = self.settings();
        let beside = Surroundings {
            predecessor: self.succession.follows(),
            other_worker: self.roster.ready().next().is_some(),
            mold: settings.preload,
            surge: settings.limits.surge() > 0,
        };
        let hint = boot_failures::hint(last_line(text), beside);
        let line = hint.map_or(String::new(), |hint| format!("\n{hint}"));
        self.boot_failures.report(worker, &format!("{text}{line}"), &mut self.actions);
        if self.state == MasterState::Booting && !beside.other_worker {
            let code = if self.purpose == Purpose::Check { 1 } else { code };
            self.fail(code, text, now);
        } else if self.reload.is_unproven(worker) {
            let hint = hint.map_or(String::new(), |hint| format!(" ({hint})"));
            self.abandon_reload(&format!("cannot serve: {}{hint}", last_line(text)));
        } else {
            self.roster.fail(worker.role, Duration::ZERO, now);
        }
    }

    fn note_samples(&mut self, samples: &[WorkerSample], now: Instant) {
        let settings = self.reload.settings();
        let conditions = Conditions { settings, suspends: &self.suspends, now };
        judge_samples(&mut self.roster, samples, conditions, &mut self.actions);
        self.status.set_running(samples.iter().map(|sample| sample.running.len()).sum());
        self.status.send(self.status_line(), &mut self.actions);
    }

    fn reconcile(&mut self, now: Instant) {
        let preloading = self.reload.preloading();
        let (target, settings) = (self.target(), self.reload.settings());
        let wanted = Wanted { target, settings, preloading: &preloading };
        self.reconciler.reconcile(&mut self.roster, wanted, now, &mut self.actions);
    }

    fn target(&self) -> PlanTarget {
        self.reload.target(self.pool.workers(), self.state == MasterState::Booting)
    }
}

/// Reloads: a generation replaces another one, or fails to.
impl Master {
    fn ask_reload(&mut self) {
        if self.succession.is_upgrading() {
            // The successor may have read its settings too early. The init system has to
            // hear at once that its request is followed.
            let text = "an upgrade is under way: the reload comes after it";
            self.actions.log(Level::Info, text);
            self.reload.put_off();
            self.actions.notify(Notice::Reloading);
        } else if self.state == MasterState::Serving {
            self.reload.read_settings(&mut self.actions);
        } else {
            self.reload.put_off();
        }
    }

    fn refuse_reload(&mut self, generation: Generation, text: &str) {
        self.reload.refuse(text, &mut self.actions);
        self.clients.reload_unread(generation, text, &mut self.actions);
        self.end_reload();
    }

    fn begin_rollout(&mut self, generation: Generation, settings: MasterSettings, now: Instant) {
        self.boot_failures.forget();
        self.roster.forget_failures();
        let (pool, roster, actions) = (&mut self.pool, &self.roster, &mut self.actions);
        self.reload.begin(generation, settings, pool, roster, now, actions);
    }

    fn abandon_reload(&mut self, reason: &str) {
        let (pool, roster, actions) = (&mut self.pool, &self.roster, &mut self.actions);
        let Some(abandoned) = self.reload.abandon(reason, pool, roster, actions) else { return };
        self.roster.forget_failures();
        let actions = &mut self.actions;
        self.clients.reload_abandoned(abandoned.generation, &abandoned.text, actions);
        self.reload.drop_others(actions);
        self.end_reload();
    }

    /// Tells the init system that a reload is over, whether it has succeeded or failed.
    fn end_reload(&mut self) {
        self.send_status();
        // A server that has announced its end is not ready again.
        if !matches!(self.state, MasterState::Delaying { .. }) {
            self.actions.notify(Notice::Ready);
        }
    }

    /// Goes on to the next state, or the next generation, when all workers are available.
    fn note_progress(&mut self, now: Instant) {
        let target = self.target();
        self.reload.note_available(target.count(&self.roster, now), now);
        if !target.is_reached(&self.roster, now) {
            return;
        }
        if self.state == MasterState::Booting {
            if self.purpose == Purpose::Check {
                return self.stop(0, now);
            }
            self.state = MasterState::Serving;
            let (app, workers) = (self.roster.app().to_owned(), self.pool.workers());
            self.actions.push(Action::Announce { app, workers });
            self.end_reload();
            if self.reload.take_put_off() {
                self.reload.read_settings(&mut self.actions);
            }
        }
        if self.reload.finish(&mut self.actions) {
            let (current, workers) = (self.reload.current(), self.pool.workers());
            self.clients.reload_done(current, workers, &mut self.actions);
            self.reload.drop_others(&mut self.actions);
            let preloading = self.reload.preloading();
            let (target, settings) = (self.target(), self.reload.settings());
            let wanted = Wanted { target, settings, preloading: &preloading };
            self.reconciler.reconcile_molds(&mut self.roster, wanted, now, &mut self.actions);
            self.end_reload();
        }
    }
}

/// Upgrades: a successor takes over from this master, or this one from a predecessor.
impl Master {
    /// Starts a successor, or says why not.
    fn upgrade(&mut self, now: Instant) -> Result<(), &'static str> {
        if self.state != MasterState::Serving {
            return Err("cannot upgrade: the server does not serve yet");
        }
        let settings = self.reload.settings();
        let (known, until) = (settings.workers, now + settings.upgrade_timeout);
        let newest = self.reload.newest();
        self.succession.start(&self.pool, known, newest, until, &mut self.actions)
    }

    /// The successor serves: everything is passed on to it.
    fn hand_over(&mut self, now: Instant) {
        let Some(successor) = self.succession.complete() else { return };
        self.actions.log(Level::Info, "upgraded: the new master serves, this one drains");
        if self.reload.take_put_off() {
            self.actions.push(Action::SignalSuccessor(WorkerSignal::Hup));
        }
        let workers = self.pool.unless(successor.workers);
        self.actions.push(Action::PassOn { workers });
        // When the client reads this, the successor has been told.
        let reply = ControlReply::Upgraded { pid: successor.pid };
        self.clients.upgrade_ended(&reply, &mut self.actions);
        self.clients.dismiss_all(REPLACED, &mut self.actions);
        self.state = MasterState::Draining;
        self.drain_workers(LeaveReason::Retired, now);
        self.actions.push(Action::CloseListeners);
    }

    /// The successor is gone before it has taken over.
    fn lose_successor(&mut self, text: &str) {
        if !self.succession.note_ended() {
            return;
        }
        let line = format!("upgrade failed, all goes on as before: {text}");
        self.actions.log(Level::Error, line);
        self.clients.upgrade_ended(&ControlReply::failed(text), &mut self.actions);
        self.succession.fail(text);
        self.send_status();
        if self.reload.take_put_off() {
            self.reload.read_settings(&mut self.actions);
        }
    }

    fn note_successor_deadline(&mut self, now: Instant) {
        if !self.succession.note_deadline(now, &mut self.actions) {
            return;
        }
        let limit = self.settings().upgrade_timeout.as_secs();
        let text = format!("the new master does not serve within {limit} s");
        self.clients.upgrade_ended(&ControlReply::failed(&text), &mut self.actions);
        self.actions.log(Level::Error, format!("{text}; ending it"));
        self.succession.fail(&text);
        self.send_status();
        self.succession.dismiss(now, &mut self.actions);
    }

    /// The predecessor has passed everything on, or is gone.
    fn take_over(&mut self, workers: Option<u16>) {
        self.succession.take_over(&mut self.actions);
        if let Some(workers) = workers {
            self.pool.resize(workers, &self.roster, &mut self.actions);
        }
        // Notices before the takeover went to no init system, so the state is sent again.
        // The watchdog counts from the last notice of the predecessor.
        if self.watchdog.is_set() {
            self.notify_alive();
        }
        if let MasterState::Delaying { .. } = self.state {
            self.notify_delay();
        } else if self.reload.rolling_to().is_some() {
            self.actions.notify(Notice::Reloading);
        } else if self.state == MasterState::Serving {
            self.end_reload();
        }
    }
}

/// The end of the server: after a delay or at once, with open requests finished or not.
impl Master {
    /// Ends as an operator has asked: after `shutdown-delay`, if clients may still send
    /// requests here.
    fn begin_shutdown(&mut self, now: Instant) {
        let delay = self.settings().shutdown_delay;
        let serves = match self.state {
            MasterState::Serving => self.pool.workers() > 0,
            // No client relies on a check, or on a master whose predecessor still serves.
            MasterState::Booting => self.is_first_start() && self.roster.ready().next().is_some(),
            MasterState::Binding { .. }
            | MasterState::Delaying { .. }
            | MasterState::Draining
            | MasterState::Stopping
            | MasterState::Stopped => false,
        };
        if delay.is_zero() || !serves {
            return self.drain(now);
        }
        let seconds = delay.as_secs();
        self.actions.log(Level::Info, format!("serving for {seconds} s more, then stopping"));
        self.state = MasterState::Delaying { until: now + delay };
        // What would outlast this master, or has not begun, is given up now.
        self.succession.dismiss(now, &mut self.actions);
        self.clients.upgrade_ended(&ControlReply::failed(LEAVING), &mut self.actions);
        self.reload.take_put_off();
        self.clients.dismiss_put_off(self.reload.newest(), &mut self.actions);
        self.notify_delay();
    }

    /// A signal asks for what may not begin any more.
    fn refuse_signal(&mut self) {
        let text = format!("{LEAVING}: no reload, upgrade or withdrawal begins");
        self.actions.log(Level::Warn, text);
    }

    /// The workers finish their requests; then the master exits.
    fn drain(&mut self, now: Instant) {
        self.actions.log(Level::Info, "draining");
        self.leave_service(MasterState::Draining, "draining");
        self.succession.dismiss(now, &mut self.actions);
        self.actions.notify(Notice::Extend(self.longest_drain()));
        self.drain_workers(LeaveReason::Stopped, now);
        self.actions.push(Action::CloseListeners);
    }

    fn drain_workers(&mut self, reason: LeaveReason, now: Instant) {
        let limit = self.settings().graceful_timeout;
        lifecycle::drain_workers(&mut self.roster, reason, limit, now, &mut self.actions);
    }

    /// Stops all processes because of an error, then exits with this code.
    fn fail(&mut self, code: u8, reason: &str, now: Instant) {
        let status = format!("cannot serve: {}", last_line(reason));
        self.leave_service(MasterState::Stopping, &status);
        self.stop(code, now);
    }

    /// Stops all processes at once, then exits with this code.
    fn stop(&mut self, code: u8, now: Instant) {
        self.leave_service(MasterState::Stopping, "stopping");
        self.succession.dismiss(now, &mut self.actions);
        self.code = code;
        for id in self.ids() {
            lifecycle::stop(&mut self.roster, id, now, &mut self.actions);
        }
        self.actions.push(Action::CloseListeners);
    }

    fn leave_service(&mut self, state: MasterState, status: &str) {
        match self.state {
            MasterState::Draining | MasterState::Stopping | MasterState::Stopped => {}
            MasterState::Delaying { .. } => {
                self.actions.notify(Notice::Status(status.to_owned()));
            }
            MasterState::Binding { .. } | MasterState::Booting | MasterState::Serving => {
                self.actions.notify(Notice::Stopping);
                self.actions.notify(Notice::Status(status.to_owned()));
            }
        }
        self.state = state;
    }

    /// The longest time that a drain takes: for the workers, their molds, and the master.
    fn longest_drain(&self) -> Duration {
        self.settings().graceful_timeout + 2 * STOP_LIMIT
    }
}

/// Commands and the init system.
impl Master {
    fn take_command(&mut self, client: ClientId, request: ControlRequest, now: Instant) {
        let leaves = match self.state {
            MasterState::Binding { .. } | MasterState::Booting | MasterState::Serving => false,
            MasterState::Delaying { .. }
            | MasterState::Draining
            | MasterState::Stopping
            | MasterState::Stopped => true,
        };
        let failed = |reason| Some(ControlReply::failed(reason));
        let reply = match request {
            ControlRequest::Status => {
                let losses = self.status.losses(&self.roster);
                let status = Status::new(self.status_line(), list_workers(&self.roster, now));
                Some(ControlReply::Status(status.with_losses(&losses)))
            }
            ControlRequest::Reload | ControlRequest::Upgrade if leaves => failed(LEAVING),
            ControlRequest::Stop if self.succession.has_passed_on() => failed(REPLACED),
            ControlRequest::Stop => {
                self.take_stop(now);
                Some(ControlReply::Stopping)
            }
            ControlRequest::Reload => {
                self.ask_reload();
                self.clients.await_reload(client, self.reload.last_asked());
                None
            }
            ControlRequest::Upgrade => match self.upgrade(now) {
                Ok(()) => {
                    self.clients.await_upgrade(client);
                    None
                }
                Err(reason) => failed(reason),
            },
        };
        if let Some(reply) = reply {
            self.actions.reply(client, reply);
        }
    }

    /// As SIGTERM, but a second one changes nothing.
    fn take_stop(&mut self, now: Instant) {
        match self.state {
            MasterState::Binding { .. } => self.state = MasterState::Stopping,
            MasterState::Booting | MasterState::Serving => self.begin_shutdown(now),
            MasterState::Delaying { .. }
            | MasterState::Draining
            | MasterState::Stopping
            | MasterState::Stopped => {}
        }
    }

    fn status_line(&self) -> String {
        self.status.compose(&StatusFacts {
            generation: self.reload.current(),
            workers: self.pool.workers(),
            roster: &self.roster,
            rolling_to: self.reload.rolling_to(),
            failed_reload: self.reload.failure(),
            is_delaying: matches!(self.state, MasterState::Delaying { .. }),
            is_upgrading: self.succession.is_upgrading() && self.state == MasterState::Serving,
            failed_upgrade: self.succession.failure(),
        })
    }

    fn send_status(&mut self) {
        self.status.send_again(self.status_line(), &mut self.actions);
    }

    fn note_watchdog(&mut self, now: Instant) {
        if self.watchdog.take_due(now) {
            self.notify_alive();
        }
    }

    /// Notifies the watchdog, if all is well. Without any worker that can be relied on, a
    /// restart by the init system is the better chance.
    fn notify_alive(&mut self) {
        let asked = self.state == MasterState::Serving && self.pool.workers() > 0;
        if !asked || self.roster.ready().any(|worker| !worker.is_doomed()) {
            self.actions.notify(Notice::Alive);
        }
    }

    /// Tells the init system that the server is to end, and how long that may take.
    fn notify_delay(&mut self) {
        self.actions.notify(Notice::Stopping);
        let length = self.settings().shutdown_delay + self.longest_drain();
        self.actions.notify(Notice::Extend(length));
        self.send_status();
    }
}
