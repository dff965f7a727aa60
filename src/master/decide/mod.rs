//! The decisions of the master. `Master::step` takes an event and returns actions.
//! Nothing in this folder touches the system: time is an argument, and randomness comes
//! from a seed. So all of it is simulated in the tests.

pub(crate) mod action;
mod commands;
pub(crate) mod event;
pub(crate) mod id;
mod lifecycle;
mod monitoring;
mod planner;
mod reconcile;
mod reload;
mod roster;
pub(crate) mod rules;
pub(crate) mod sample;
pub(crate) mod settings;
mod shutdown;
mod state;
mod status_line;
mod succession;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use log::Level;
use monoceros_config::{MOST_WORKERS, SignalCommand};
use monoceros_wire::Generation;
use monoceros_wire::message::ToWorker;

use crate::master::decide::action::{Action, Notice};
use crate::master::decide::commands::WaitingClients;
use crate::master::decide::event::{BindError, MasterEvent};
use crate::master::decide::reload::Rollout;
use crate::master::decide::roster::{LeaveReason, Roster};
use crate::master::decide::rules::random::Random;
use crate::master::decide::rules::suspends::Suspends;
use crate::master::decide::settings::MasterSettings;
use crate::master::decide::state::MasterState;
use crate::master::decide::status_line::Totals;
use crate::master::decide::succession::Successor;

/// How long an address may be in use before the master gives up.
const BIND_LIMIT: Duration = Duration::from_secs(5);
/// How long it waits before it tries again.
const BIND_RETRY: Duration = Duration::from_secs(1);
/// How long a worker may take to stop at once.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// How long a worker that is not ready may take to stop: it serves nobody.
const BOOT_STOP_LIMIT: Duration = Duration::from_millis(500);
/// How long a worker may take to show where it hangs.
const ABORT_LIMIT: Duration = Duration::from_secs(1);
/// The master was not running if it comes so much later than it meant to; less
/// if `timeout` is as short, so that nobody is blamed for its pause.
const LATE: Duration = Duration::from_secs(2);

/// What the master is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Serve until told otherwise.
    Serve,
    /// Find out whether the application loads, and exit.
    Check,
}

/// What a master finds when it begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StartContext {
    /// What it is for.
    pub(crate) purpose: Purpose,
    /// The number of its first generation.
    pub(crate) generation: Generation,
    /// Another master serves, and has not passed everything on yet.
    pub(crate) follows: bool,
    /// How many workers an operator wants, if not what is set.
    pub(crate) workers: Option<u16>,
    /// How often the init system wants to hear that all is well.
    pub(crate) watchdog: Option<Duration>,
    /// Where its random numbers begin.
    pub(crate) seed: u64,
}

/// The master's mind.
#[derive(Debug)]
pub(crate) struct Master {
    purpose: Purpose,
    state: MasterState,
    settings: MasterSettings,
    /// How many workers there are to be: what is set, and TTIN and TTOU.
    workers: u16,
    /// How many there were before they were withdrawn.
    withdrawn: Option<u16>,
    /// The generation that serves, or is to be the first.
    current: Generation,
    /// The generation that is replacing it.
    rollout: Option<Rollout>,
    /// The highest number given to a generation.
    newest: Generation,
    /// A reload came when it could not be done yet.
    reload_again: bool,
    /// The master that is to take over.
    successor: Option<Successor>,
    /// The commands that wait for an answer.
    waiting: WaitingClients,
    /// How the last upgrade went, if it failed.
    failed_upgrade: Option<String>,
    /// Another master serves, and has not passed everything on yet.
    follows: bool,
    /// This one has, and only finishes what it has.
    passed_on: bool,
    roster: Roster,
    /// The application, as the first ready worker named it.
    app: String,
    /// Why workers could not boot, as far as that has been logged.
    told: BTreeSet<String>,
    /// How the last reload went, if it failed.
    failed_reload: Option<String>,
    totals: Totals,
    random: Random,
    /// When the scoreboards are to be looked at.
    inspect: Option<Instant>,
    /// When the plan changes by itself.
    wake: Option<Instant>,
    /// How often the init system is told that all is well, and when next.
    watchdog: Option<(Duration, Instant)>,
    /// What the master meant to wake up for.
    expected: Option<Instant>,
    /// When the master has not run.
    suspends: Suspends,
    code: u8,
    actions: Vec<Action>,
}

impl Master {
    /// A master of which nothing exists yet, whose settings are read.
    pub(crate) fn new(beginning: StartContext, settings: MasterSettings, now: Instant) -> Self {
        let StartContext { purpose, generation, follows, workers, watchdog, seed } = beginning;
        Self {
            purpose,
            state: MasterState::Binding { retry: None, until: None },
            workers: workers.unwrap_or(settings.workers),
            withdrawn: None,
            settings,
            current: generation,
            rollout: None,
            newest: generation,
            reload_again: false,
            successor: None,
            waiting: WaitingClients::default(),
            failed_upgrade: None,
            follows,
            passed_on: false,
            roster: Roster::default(),
            app: String::new(),
            told: BTreeSet::new(),
            failed_reload: None,
            totals: Totals::default(),
            random: Random(seed),
            inspect: None,
            wake: None,
            // Twice as often as it must be (`sd_watchdog_enabled(3)`).
            watchdog: watchdog.map(|every| (every / 2, now + every / 2)),
            expected: None,
            suspends: Suspends::since(now),
            code: 0,
            actions: Vec::new(),
        }
    }

    /// The first thing to do.
    pub(crate) fn begin(&mut self) -> Vec<Action> {
        vec![Action::Bind]
    }

    /// Decides what to do about an event.
    pub(crate) fn step(&mut self, event: MasterEvent, now: Instant) -> Vec<Action> {
        self.forgive_pause(now);
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
        // What is overdue now was so for another reason than a pause to come.
        self.expected = self.next_deadline().map(|at| at.max(now));
        std::mem::take(&mut self.actions)
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
        let rollout = self.rollout.as_ref().and_then(|rollout| rollout.deadline);
        let successor = self.successor.and_then(|successor| successor.deadline());
        let watchdog = self.watchdog.map(|(_, at)| at);
        let own = [step, self.inspect, self.wake, rollout, successor, watchdog];
        own.into_iter().chain([self.roster.deadline()]).flatten().min()
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
            MasterEvent::Asked(SignalCommand::Drain | SignalCommand::Stop) => {
                self.state = MasterState::Stopping
            }
            MasterEvent::Asked(command) => self.adjust(command, now),
            MasterEvent::Requested { client, request } => self.take_request(client, request, now),
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
            | MasterEvent::Read { .. } => {}
        }
    }

    fn step_booting(&mut self, event: MasterEvent, now: Instant) {
        match event {
            MasterEvent::Asked(SignalCommand::Drain) => self.depart(now),
            MasterEvent::Asked(SignalCommand::Stop) => self.stop(0, now),
            MasterEvent::Asked(command) => self.adjust(command, now),
            MasterEvent::Spawned { worker, pid } => self.note_pid(worker, pid),
            MasterEvent::SpawnFailed { worker, refusal } => {
                self.note_spawn_failure(worker, &refusal, now);
            }
            MasterEvent::Ready { worker, app } => self.note_ready(worker, app, now),
            MasterEvent::Failed { worker, failure, text } => {
                self.note_failure(worker, failure.exit_code(), &text, now);
            }
            MasterEvent::Exited { worker, death } => self.note_exit(worker, &death, now),
            MasterEvent::Inspected(samples) => self.note_samples(&samples, now),
            MasterEvent::Requested { client, request } => self.take_request(client, request, now),
            MasterEvent::TookOver { workers } => self.take_over(workers),
            MasterEvent::Elapsed => self.note_deadlines(now),
            MasterEvent::Bound(_)
            | MasterEvent::SuccessorStarted { .. }
            | MasterEvent::SuccessorReady
            | MasterEvent::SuccessorEnded { .. }
            | MasterEvent::Read { .. } => {}
        }
    }

    fn step_serving(&mut self, event: MasterEvent, now: Instant) {
        match event {
            MasterEvent::Asked(SignalCommand::Drain) => self.depart(now),
            MasterEvent::Asked(SignalCommand::Stop) => self.stop(0, now),
            MasterEvent::Asked(command) => self.adjust(command, now),
            MasterEvent::Read { generation, settings: Ok(settings) } => {
                self.roll_to(generation, settings, now)
            }
            MasterEvent::Read { generation, settings: Err(text) } => {
                self.refuse_reload(generation, &text)
            }
            MasterEvent::Spawned { worker, pid } => self.note_pid(worker, pid),
            MasterEvent::SpawnFailed { worker, refusal } => {
                self.note_spawn_failure(worker, &refusal, now);
            }
            MasterEvent::Ready { worker, app } => self.note_ready(worker, app, now),
            MasterEvent::Failed { worker, failure, text } => {
                self.note_failure(worker, failure.exit_code(), &text, now);
            }
            MasterEvent::Exited { worker, death } => self.note_exit(worker, &death, now),
            MasterEvent::Inspected(samples) => self.note_samples(&samples, now),
            MasterEvent::SuccessorStarted { pid } => self.note_successor(pid),
            MasterEvent::SuccessorReady => self.hand_over(now),
            MasterEvent::SuccessorEnded { text } => self.lose_successor(&text),
            MasterEvent::Requested { client, request } => self.take_request(client, request, now),
            MasterEvent::TookOver { workers } => self.take_over(workers),
            MasterEvent::Elapsed => self.note_deadlines(now),
            MasterEvent::Bound(_) => {}
        }
    }

    /// As while it serves, but nothing begins that would outlast it.
    fn step_delaying(&mut self, event: MasterEvent, until: Instant, now: Instant) {
        match event {
            MasterEvent::Asked(SignalCommand::Drain) => self.drain(now),
            MasterEvent::Asked(SignalCommand::Stop) => self.stop(0, now),
            MasterEvent::Asked(
                command @ (SignalCommand::Add | SignalCommand::Remove | SignalCommand::Reopen),
            ) => {
                self.adjust(command, now);
            }
            MasterEvent::Asked(
                SignalCommand::Reload | SignalCommand::Upgrade | SignalCommand::Withdraw,
            ) => self.refuse_wish(),
            MasterEvent::Read { generation, settings: Ok(settings) } => {
                self.roll_to(generation, settings, now)
            }
            MasterEvent::Read { generation, settings: Err(text) } => {
                self.refuse_reload(generation, &text)
            }
            MasterEvent::Spawned { worker, pid } => self.note_pid(worker, pid),
            MasterEvent::SpawnFailed { worker, refusal } => {
                self.note_spawn_failure(worker, &refusal, now);
            }
            MasterEvent::Ready { worker, app } => self.note_ready(worker, app, now),
            MasterEvent::Failed { worker, failure, text } => {
                self.note_failure(worker, failure.exit_code(), &text, now);
            }
            MasterEvent::Exited { worker, death } => self.note_exit(worker, &death, now),
            MasterEvent::Inspected(samples) => self.note_samples(&samples, now),
            MasterEvent::SuccessorStarted { pid } => self.note_successor(pid),
            MasterEvent::SuccessorEnded { .. } => self.successor = None,
            MasterEvent::Requested { client, request } => self.take_request(client, request, now),
            MasterEvent::TookOver { workers } => self.take_over(workers),
            MasterEvent::Elapsed => {
                self.note_deadlines(now);
                if until <= now {
                    self.drain(now);
                }
            }
            MasterEvent::Bound(_) | MasterEvent::SuccessorReady => {}
        }
    }

    fn step_draining(&mut self, event: MasterEvent, now: Instant) {
        match event {
            // Nobody has asked this one to before: it is its first time.
            MasterEvent::Asked(SignalCommand::Drain) if std::mem::take(&mut self.passed_on) => {}
            MasterEvent::Asked(SignalCommand::Drain | SignalCommand::Stop) => self.stop(0, now),
            MasterEvent::Asked(SignalCommand::Reopen) => self.reopen(),
            MasterEvent::Spawned { worker, pid } => self.note_pid(worker, pid),
            MasterEvent::SpawnFailed { worker, .. } => drop(self.roster.remove(worker)),
            MasterEvent::Exited { worker, death } => self.note_exit(worker, &death, now),
            MasterEvent::Inspected(samples) => self.note_samples(&samples, now),
            MasterEvent::SuccessorStarted { pid } => self.note_successor(pid),
            MasterEvent::SuccessorEnded { .. } => self.successor = None,
            MasterEvent::Requested { client, request } => self.take_request(client, request, now),
            MasterEvent::TookOver { workers } => self.take_over(workers),
            MasterEvent::Elapsed => self.note_deadlines(now),
            MasterEvent::Ready { worker, .. } => self.note_late_ready(worker, now),
            MasterEvent::Asked(
                SignalCommand::Reload
                | SignalCommand::Add
                | SignalCommand::Remove
                | SignalCommand::Upgrade
                | SignalCommand::Withdraw,
            )
            | MasterEvent::Bound(_)
            | MasterEvent::Failed { .. }
            | MasterEvent::SuccessorReady
            | MasterEvent::Read { .. } => {}
        }
    }

    fn step_stopping(&mut self, event: MasterEvent, now: Instant) {
        match event {
            MasterEvent::Asked(SignalCommand::Reopen) => self.reopen(),
            MasterEvent::Spawned { worker, pid } => self.note_pid(worker, pid),
            MasterEvent::SpawnFailed { worker, .. } => drop(self.roster.remove(worker)),
            MasterEvent::Exited { worker, death } => self.note_exit(worker, &death, now),
            MasterEvent::SuccessorStarted { pid } => self.note_successor(pid),
            MasterEvent::SuccessorEnded { .. } => self.successor = None,
            MasterEvent::Requested { client, request } => self.take_request(client, request, now),
            MasterEvent::TookOver { workers } => self.take_over(workers),
            MasterEvent::Elapsed => self.note_deadlines(now),
            MasterEvent::Asked(
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
            | MasterEvent::Read { .. } => {}
        }
    }

    /// What does not end the master.
    fn adjust(&mut self, command: SignalCommand, now: Instant) {
        match command {
            SignalCommand::Reload if self.successor.is_some() => self.reload_after_upgrade(),
            SignalCommand::Reload if self.state == MasterState::Serving => self.read_settings(),
            SignalCommand::Reload => self.reload_again = true,
            SignalCommand::Add => self.resize(self.workers.saturating_add(1)),
            SignalCommand::Remove => self.resize(self.workers.saturating_sub(1)),
            SignalCommand::Reopen => self.reopen(),
            SignalCommand::Upgrade => {
                if let Err(reason) = self.upgrade(now) {
                    self.log(Level::Warn, reason.to_owned());
                }
            }
            SignalCommand::Withdraw => self.withdraw(),
            SignalCommand::Drain | SignalCommand::Stop => {}
        }
    }

    fn retry_binding(&mut self, failure: BindError, until: Option<Instant>, now: Instant) {
        let until = until.unwrap_or(now + BIND_LIMIT);
        if failure.in_use && now < until {
            self.log(Level::Warn, format!("{}; trying again", failure.text));
            self.state = MasterState::Binding { retry: Some(now + BIND_RETRY), until: Some(until) };
        } else {
            self.log(Level::Error, failure.text.clone());
            self.fail(1, &failure.text, now);
        }
    }

    fn resize(&mut self, workers: u16) {
        if self.withdrawn.is_some() && workers == 0 {
            return;
        }
        self.withdrawn = None;
        self.set_number(workers.clamp(1, MOST_WORKERS));
        self.log(Level::Info, format!("{} workers asked for", self.workers));
    }

    /// Lets all workers go, and stays: connections wait for those to come.
    fn withdraw(&mut self) {
        if self.state != MasterState::Serving || self.withdrawn.is_some() {
            return;
        }
        self.withdrawn = Some(self.workers);
        self.set_number(0);
        self.log(Level::Info, "withdrawing the workers; a reload brings them back".to_owned());
    }

    fn reopen(&mut self) {
        self.actions.push(Action::Reopen);
        for id in self.ids() {
            self.actions.push(Action::Tell { worker: id, message: ToWorker::Reopen });
        }
    }

    /// Sets how many workers there are to be, and tells them: one that is alone
    /// takes connections that it would else leave to others.
    fn set_number(&mut self, workers: u16) {
        if workers == self.workers {
            return;
        }
        self.workers = workers;
        for worker in self.roster.workers() {
            let message = ToWorker::Workers(workers);
            self.actions.push(Action::Tell { worker: worker.id, message });
        }
    }

    /// What follows from how things stand, whatever happened.
    fn proceed(&mut self, now: Instant) {
        match self.state {
            MasterState::Booting | MasterState::Serving | MasterState::Delaying { .. } => {
                self.choose_recycled();
                self.carry_out_plan(now);
                self.note_progress(now);
                self.arm_inspection(now);
            }
            MasterState::Draining | MasterState::Stopping => {
                (self.wake, self.rollout) = (None, None);
                self.dismiss_leaving();
                self.dismiss_molds(&[], LeaveReason::Stopped, now);
                // A request may still take too long while the rest is finished.
                if self.state == MasterState::Draining {
                    self.arm_inspection(now);
                } else {
                    self.inspect = None;
                }
                if self.roster.is_empty() && self.successor.is_none() {
                    self.state = MasterState::Stopped;
                    self.actions.push(Action::Exit(self.code));
                }
            }
            MasterState::Binding { .. } | MasterState::Stopped => {}
        }
    }

    fn arm_inspection(&mut self, now: Instant) {
        if self.inspect.is_none() {
            self.inspect = Some(now + rules::health::interval(self.settings().timeout));
        }
    }

    /// Moves every deadline when the master has been stopped or suspended: the
    /// workers may have been too, and nobody could tell it what they did.
    fn forgive_pause(&mut self, now: Instant) {
        let Some(expected) = self.expected else { return };
        let late = now.saturating_duration_since(expected);
        let timeout = self.settings().timeout;
        let harmless = if timeout.is_zero() { LATE } else { LATE.min(timeout / 2) };
        if late <= harmless {
            return;
        }
        self.suspends.add(late, now);
        self.roster.shift(late);
        for deadline in [&mut self.inspect, &mut self.wake] {
            *deadline = deadline.map(|at| at + late);
        }
        if let Some(rollout) = &mut self.rollout {
            rollout.deadline = rollout.deadline.map(|at| at + late);
        }
        if let Some(successor) = &mut self.successor {
            successor.shift(late);
        }
        let level = if late > LATE { Level::Warn } else { Level::Debug };
        self.log(level, format!("the master was not running for {:.1} s", late.as_secs_f64()));
    }

    fn notify(&mut self, notice: Notice) {
        if self.purpose == Purpose::Serve {
            self.actions.push(Action::Notify(notice));
        }
    }

    fn log(&mut self, level: Level, text: String) {
        self.actions.push(Action::Log(level, text));
    }

    fn ids(&self) -> Vec<id::WorkerId> {
        self.roster.everyone().map(|worker| worker.id).collect()
    }
}

/// The line of a text that says most: a traceback's last.
fn gist(text: &str) -> &str {
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default()
}

/// The deadline of a limit that begins now; zero is none.
fn after(limit: Duration, now: Instant) -> Option<Instant> {
    (!limit.is_zero()).then(|| now + limit)
}
