//! The state machine of the master: `step` takes an event and returns actions. Owns the
//! state and every part; each part keeps its fields to itself, and its first line names
//! what it owns. Called by the event loop.
//!
//! `master/states.rs` has what each state does about each event. The other files in
//! `master/` have the sequences that concern several parts, one subject each.

mod commands;
mod config_file;
mod hooks;
mod init_system;
mod operator;
mod reloads;
mod reports;
mod shutdown;
#[cfg(test)]
mod simulation;
mod states;
#[cfg(test)]
mod tests;
mod upgrades;

use std::time::{Duration, Instant};

use log::Level;
use monoceros_wire::Generation;
use monoceros_wire::message::{BootFailure, ToWorker};

use crate::master::decide::action::{Action, Actions, Notification};
use crate::master::decide::commands::{LEAVING, WaitingClients};
use crate::master::decide::config_run::ConfigRuns;
use crate::master::decide::confirmations::Confirmations;
use crate::master::decide::event::{BindError, MasterEvent, SpawnError, WorkerExit};
use crate::master::decide::exit_reason::ExitReason;
use crate::master::decide::exit_report;
use crate::master::decide::hooks::{Introduction, ServerHooks};
use crate::master::decide::id::WorkerId;
use crate::master::decide::planner::PlanTarget;
use crate::master::decide::pool::{PoolContext, Setback, WorkerPool};
use crate::master::decide::reconcile::MoldTasks;
use crate::master::decide::reload::Reload;
use crate::master::decide::roster::{Role, WorkerState};
use crate::master::decide::sample::WorkerSample;
use crate::master::decide::settings::{ForkSource, MasterSettings, deadline_after};
use crate::master::decide::stack_requests::StackRequests;
use crate::master::decide::state::{MasterState, Purpose};
use crate::master::decide::status_line::StatusLine;
use crate::master::decide::succession::Succession;
use crate::master::decide::suspends::Suspends;
use crate::master::decide::tally::Tally;
use crate::master::decide::watchdog::Watchdog;

/// How long an address may be in use before the master gives up.
const BIND_LIMIT: Duration = Duration::from_secs(5);
/// How long it waits before it tries again.
const BIND_RETRY: Duration = Duration::from_secs(1);
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
    pool: WorkerPool,
    reload: Reload,
    /// The run of the configuration file that a reload waits for.
    runs: ConfigRuns,
    hooks: ServerHooks,
    suspends: Suspends,
    succession: Succession,
    clients: WaitingClients,
    confirmations: Confirmations,
    stacks: StackRequests,
    status: StatusLine,
    tally: Tally,
    watchdog: Watchdog,
    actions: Actions,
}

impl Master {
    /// A master of which nothing exists yet, whose settings are read.
    pub(crate) fn new(context: StartContext, settings: MasterSettings, now: Instant) -> Self {
        let StartContext { purpose, generation, follows, workers, watchdog, seed } = context;
        let mut pool = WorkerPool::new(workers.unwrap_or(settings.workers), seed);
        let mut hooks = ServerHooks::default();
        let mut state = MasterState::Binding { retry: None, until: None };
        let reload = Reload::new(generation, settings);
        if let Some(forked) = reload.forked().into_iter().find(|it| it.has_file) {
            let role = match forked.source {
                ForkSource::Executed | ForkSource::ServerMold => Role::ServerMold,
                ForkSource::GenerationMold => Role::Mold,
            };
            let until = deadline_after(reload.settings().boot_timeout, now);
            pool.add_mold(role, forked, until);
            hooks.plan_introduction(generation, Introduction::Start);
            state = MasterState::Starting;
        }
        Self {
            purpose,
            state,
            code: 0,
            pool,
            reload,
            runs: ConfigRuns::default(),
            hooks,
            suspends: Suspends::since(now),
            succession: Succession::new(follows),
            clients: WaitingClients::default(),
            confirmations: Confirmations::default(),
            stacks: StackRequests::default(),
            status: StatusLine::default(),
            tally: Tally::default(),
            watchdog: Watchdog::new(watchdog, now),
            actions: Actions::new(purpose),
        }
    }

    /// The first thing to do: to bind the addresses, or before that to send the mold that has
    /// run the configuration file its settings.
    pub(crate) fn begin(&self) -> Vec<Action> {
        let generation = self.reload.current();
        match self.pool.roster().molds().next().map(|mold| mold.id) {
            Some(worker) => {
                vec![Action::AdoptMold { worker }, Action::Configure { worker, generation }]
            }
            None => vec![Action::Bind],
        }
    }

    /// Decides what to do about an event.
    pub(crate) fn step(&mut self, event: MasterEvent, now: Instant) -> Vec<Action> {
        self.account_for_suspend(now);
        if let MasterEvent::SettingsRead { generation, .. } = event {
            self.reload.note_read(generation);
        }
        match self.state {
            MasterState::Starting => self.step_starting(event, now),
            MasterState::Binding { retry, until } => self.step_binding(event, retry, until, now),
            MasterState::Booting => self.step_booting(event, now),
            MasterState::Serving => self.step_serving(event, now),
            MasterState::Delaying { until } => self.step_delaying(event, until, now),
            MasterState::Draining => self.step_draining(event, now),
            MasterState::Stopping => self.step_stopping(event, now),
            MasterState::Stopped => {}
        }
        self.proceed(now);
        self.pool.take_booted().into_iter().for_each(|took| self.tally.note_boot(took));
        self.settle_commands(now);
        self.suspends.expect(self.next_deadline(), now);
        self.actions.take()
    }

    /// When [`MasterEvent::Elapsed`] is to come, unless another event comes before.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let step = match self.state {
            MasterState::Binding { retry, .. } => retry,
            MasterState::Delaying { until } => Some(until),
            MasterState::Starting
            | MasterState::Booting
            | MasterState::Serving
            | MasterState::Draining
            | MasterState::Stopping => None,
            MasterState::Stopped => return None,
        };
        let parts = [
            step,
            self.pool.deadline(),
            self.reload.deadline(),
            self.runs.deadline(),
            self.hooks.deadline(),
            self.succession.deadline(),
            self.confirmations.deadline(),
            self.stacks.deadline(),
            self.watchdog.deadline(),
        ];
        parts.into_iter().flatten().min()
    }

    /// What follows from the state, whatever the event was.
    fn proceed(&mut self, now: Instant) {
        match self.state {
            MasterState::Starting => {
                self.pool.start_monitor(self.reload.settings().time_limits(), now);
                self.note_start();
            }
            MasterState::Booting | MasterState::Serving | MasterState::Delaying { .. } => {
                self.ask_due_hooks(now);
                self.with_pool(now, |pool, context, actions| pool.reconcile(context, actions));
                self.note_progress(now);
                self.pool.start_monitor(self.reload.settings().time_limits(), now);
            }
            MasterState::Draining | MasterState::Stopping => {
                self.reload.cancel();
                self.runs.cancel();
                self.clients.dismiss_all(LEAVING, &mut self.actions);
                self.hooks.shorten(self.exit_limit(), now);
                self.ask_exit_hook(now);
                self.with_pool(now, |pool, context, actions| pool.wind_down(context, actions));
                // A request may still take too long while the rest is finished.
                if self.state == MasterState::Draining {
                    self.pool.start_monitor(self.reload.settings().time_limits(), now);
                } else {
                    self.pool.stop_monitor(&mut self.actions);
                }
                if self.pool.roster().is_empty() && !self.succession.is_upgrading() {
                    self.pool.stop_monitor(&mut self.actions);
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
        let Some(length) = self.suspends.detect(self.settings().timeout, now) else { return };
        self.pool.shift(length);
        self.reload.shift(length);
        self.runs.shift(length);
        self.hooks.shift(length);
        self.succession.shift(length);
        self.confirmations.shift(length);
        self.stacks.shift(length);
        let text = format!("the master was not running for {:.1} s", length.as_secs_f64());
        self.actions.log(Suspends::level(length), text);
    }

    /// Does what the deadlines of processes, and of the master, ask for.
    fn note_deadlines(&mut self, now: Instant) {
        for id in self.pool.ids() {
            let setback = self
                .with_pool(now, |pool, context, actions| pool.note_deadline(id, context, actions));
            self.note_setback(setback, now);
        }
        self.note_overdue_hooks(now);
        self.note_run_deadline(now);
        self.note_watchdog(now);
        self.stacks.note_deadline(now, &mut self.actions);
        self.note_successor_deadline(now);
        if self.reload.is_overdue(now) {
            let reason = "made no progress within progress-deadline";
            self.abandon_reload(reason, reason, now);
        }
        if self.pool.take_inspection(self.reload.settings().time_limits(), now) {
            self.actions.push(Action::Inspect);
            if self.is_starting() || self.reload.rolling_to().is_some() || self.reload.is_put_off()
            {
                self.actions.notify(Notification::Extend(BOOT_EXTENSION));
            }
        }
    }

    fn settings(&self) -> &MasterSettings {
        self.reload.settings()
    }

    fn target(&self) -> PlanTarget {
        self.pool.target(&self.reload, self.state == MasterState::Booting)
    }

    fn retry_binding(&mut self, error: BindError, until: Option<Instant>, now: Instant) {
        let until = until.unwrap_or(now + BIND_LIMIT);
        if error.in_use && now < until {
            self.actions.log(Level::Warn, format!("{}; trying again", error.text));
            self.state = MasterState::Binding { retry: Some(now + BIND_RETRY), until: Some(until) };
        } else {
            self.actions.log(Level::Error, error.text.as_str());
            self.fail_start(1, &error.text, now);
        }
    }
}

/// Workers and molds: what happens to them goes to the pool, which returns what it means
/// for the server.
impl Master {
    fn note_spawned(&mut self, worker: WorkerId, pid: i32, now: Instant) {
        if self.pool.note_pid(worker, pid, now, &mut self.actions) {
            self.tally.note_spawn();
        }
    }

    /// A worker that was asked to leave has no process, or its process never became the program
    /// that was meant.
    fn forget(&mut self, worker: WorkerId) {
        self.count_exec_failure(worker);
        self.pool.forget(worker);
    }

    /// Counts the end of a process that did not become the program that was meant.
    fn count_exec_failure(&mut self, worker: WorkerId) {
        let entry = self.pool.roster().get(worker);
        if entry.is_some_and(|entry| entry.spawned.is_some() && entry.slot().is_some()) {
            self.tally.note_exit(ExitReason::BootFailure);
        }
    }

    fn note_ready(&mut self, worker: WorkerId, app: String, now: Instant) {
        let entry = self.pool.roster().get(worker);
        let boots = entry.is_some_and(|it| matches!(it.state, WorkerState::Booting { .. }));
        self.with_pool(now, |pool, context, actions| {
            pool.note_ready(worker, app, context, actions)
        });
        if boots {
            self.introduce_mold(worker, now);
            self.inform_of_failure(worker);
        }
        if matches!(self.state, MasterState::Delaying { .. }) {
            self.actions.send(worker, ToWorker::Leave);
        }
    }

    fn note_late_ready(&mut self, worker: WorkerId, now: Instant) {
        self.with_pool(now, |pool, context, actions| {
            pool.note_late_ready(worker, context, actions)
        });
    }

    fn note_failure(&mut self, worker: WorkerId, failure: BootFailure, text: &str, now: Instant) {
        if self.runs.of(worker).is_some_and(|run| run.is_new) {
            self.pool.leave_failed(worker, now);
            return self.lose_run(worker, text, now);
        }
        self.fail_boot(worker, failure.exit_code(), text, now);
    }

    fn fail_boot(&mut self, worker: WorkerId, code: u8, text: &str, now: Instant) {
        let setback = self.with_pool(now, |pool, context, actions| {
            pool.note_failure(worker, code, text, context, actions)
        });
        self.note_setback(setback, now);
    }

    fn note_spawn_failure(&mut self, worker: WorkerId, error: &SpawnError, now: Instant) {
        if self.forget_reader(worker, &error.text, now) {
            return;
        }
        self.count_exec_failure(worker);
        if error.code.is_some() && self.is_starting() {
            // `pre_fork` has raised. As in gunicorn, `on_exit` does not run then.
            self.hooks.skip_exit();
        }
        let setback = self.with_pool(now, |pool, context, actions| {
            pool.note_spawn_failure(worker, error, context, actions)
        });
        self.note_setback(setback, now);
    }

    fn note_exit(&mut self, worker: WorkerId, exit: &WorkerExit, now: Instant) {
        let reason = format!("the mold has ended with {}", exit_report::cause(exit));
        if self.forget_reader(worker, &reason, now) {
            return;
        }
        let ended = self.pool.roster().get(worker).cloned();
        if let Some(ended) = ended.as_ref().filter(|it| it.slot().is_some()) {
            self.tally.note_exit(ExitReason::of(ended, exit));
            self.tally.add(&exit.counts);
        }
        let setback = self.with_pool(now, |pool, context, actions| {
            pool.note_exit(worker, exit, context, actions)
        });
        self.note_setback(setback, now);
        match ended {
            Some(ended) if ended.slot().is_some() => {
                self.note_child_exit(&ended, exit.status, now);
            }
            Some(_) => {
                self.lose_run(worker, &reason, now);
                self.note_mold_end(worker, exit.status, now);
            }
            None => {}
        }
    }

    fn note_samples(&mut self, samples: &[WorkerSample], now: Instant) {
        self.with_pool(now, |pool, context, actions| pool.note_samples(samples, context, actions));
        self.status.set_running(samples.iter().map(|sample| sample.running.len()).sum());
        self.send_changed_status();
    }

    fn note_setback(&mut self, setback: Option<Setback>, now: Instant) {
        match setback {
            Some(Setback::CannotStart { code, reason }) => self.fail(code, &reason, now),
            Some(Setback::ReloadFails { reason, cause }) => {
                self.abandon_reload(&reason, &cause, now);
            }
            Some(Setback::OldEndsFirst(reason)) => {
                let text = format!(
                    "{reason}: the old worker may have what is in use, so it ends before the new \
                     one starts, from now on at each reload"
                );
                self.actions.log(Level::Info, text);
                self.reload.end_old_first();
            }
            Some(Setback::ShowsFailure) => self.reload.show_failure(),
            Some(Setback::WorkerFails(reason)) => {
                self.clients.note_lost_worker(&reason, &mut self.actions);
            }
            None => {}
        }
    }

    /// Calls the pool with what it has to know of the server.
    fn with_pool<T>(
        &mut self,
        now: Instant,
        call: impl FnOnce(&mut WorkerPool, PoolContext, &mut Actions) -> T,
    ) -> T {
        let context = PoolContext {
            reload: &self.reload,
            suspends: &self.suspends,
            tasks: MoldTasks { hooks: &self.hooks, runs: &self.runs },
            is_booting: self.is_starting(),
            is_check: self.purpose == Purpose::Check,
            follows: self.succession.follows(),
            has_failed: self.code > 0,
            now,
        };
        call(&mut self.pool, context, &mut self.actions)
    }
}
