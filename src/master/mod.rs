//! The master: what it decides on each event. Nothing in this file, nor in
//! those that it is made of (`life`, `roster`, `rollout`, `backoff`, `health`),
//! touches the world: `shell.rs` does, and reports back. Time is an argument.

mod backoff;
mod health;
mod interpreter;
mod life;
mod listener;
mod pidfile;
mod recipe;
mod rollout;
mod roster;
mod shell;
mod spawn;
mod start;
mod state;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use log::Level;
use monoceros_wire::Generation;
use monoceros_wire::message::ToWorker;

pub(crate) use self::start::run;

use self::rollout::{Target, plan};
use self::roster::{Roster, Why};
use self::state::{Action, BindFailure, Command, Event, State, Terms};

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
/// The master was not running if it comes so much later than it meant to.
const LATE: Duration = Duration::from_secs(2);
/// The most workers that TTIN can ask for, as the settings table has it.
const MOST_WORKERS: u16 = 1024;

/// What the master is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Serve until told otherwise.
    Serve,
    /// Find out whether the application loads, and exit.
    Check,
}

/// The master's mind.
#[derive(Debug)]
pub(crate) struct Master {
    purpose: Purpose,
    state: State,
    terms: Terms,
    /// How many workers there are to be: what is set, and TTIN and TTOU.
    workers: u16,
    /// The generation that serves, or is to be the first.
    current: Generation,
    /// The generation that is replacing it.
    rolling: Option<Rolling>,
    /// The highest number given to a generation.
    newest: Generation,
    /// A reload came when it could not be done yet.
    reload_again: bool,
    roster: Roster,
    /// The application, as the first ready worker named it.
    app: String,
    /// Why workers could not boot, as far as that has been logged.
    told: BTreeSet<String>,
    /// When the scoreboards are to be looked at.
    inspect: Option<Instant>,
    /// When the plan changes by itself.
    wake: Option<Instant>,
    /// What the master meant to wake up for.
    expected: Option<Instant>,
    /// Since when the master has run without a pause.
    awake: Instant,
    code: u8,
    actions: Vec<Action>,
}

/// A generation that is replacing another one.
#[derive(Clone, Debug)]
struct Rolling {
    generation: Generation,
    terms: Terms,
    /// How many workers there were to be before.
    workers_before: u16,
    /// One of its workers has been ready: its code can serve.
    proven: bool,
}

impl Master {
    /// A master of which nothing exists yet, whose settings are read.
    pub(crate) fn new(purpose: Purpose, terms: Terms, now: Instant) -> Self {
        Self {
            purpose,
            state: State::Binding { retry: None, until: None },
            workers: terms.workers,
            terms,
            current: Generation(1),
            rolling: None,
            newest: Generation(1),
            reload_again: false,
            roster: Roster::default(),
            app: String::new(),
            told: BTreeSet::new(),
            inspect: None,
            wake: None,
            expected: None,
            awake: now,
            code: 0,
            actions: Vec::new(),
        }
    }

    /// The first thing to do.
    pub(crate) fn begin(&mut self) -> Vec<Action> {
        vec![Action::Bind]
    }

    /// Decides what to do about an event.
    pub(crate) fn step(&mut self, event: Event, now: Instant) -> Vec<Action> {
        self.forgive_pause(now);
        match self.state {
            State::Binding { retry, until } => self.step_binding(event, retry, until, now),
            State::Booting => self.step_booting(event, now),
            State::Serving => self.step_serving(event, now),
            State::Draining => self.step_draining(event, now),
            State::Stopping => self.step_stopping(event, now),
            State::Stopped => {}
        }
        self.proceed(now);
        self.expected = self.next_deadline();
        std::mem::take(&mut self.actions)
    }

    /// When [`Event::Elapsed`] is to come, unless something happens before.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let retry = match self.state {
            State::Binding { retry, .. } => retry,
            State::Booting | State::Serving | State::Draining | State::Stopping => None,
            State::Stopped => return None,
        };
        let deadlines = [retry, self.inspect, self.wake, self.roster.deadline()];
        deadlines.into_iter().flatten().min()
    }

    fn step_binding(
        &mut self,
        event: Event,
        retry: Option<Instant>,
        until: Option<Instant>,
        now: Instant,
    ) {
        match event {
            Event::Bound(Ok(())) => self.state = State::Booting,
            Event::Bound(Err(failure)) => self.retry_binding(failure, until, now),
            Event::Asked(Command::Drain | Command::Stop) => self.state = State::Stopping,
            Event::Asked(command) => self.adjust(command),
            Event::Elapsed => {
                if retry.is_some_and(|retry| retry <= now) {
                    self.state = State::Binding { retry: None, until };
                    self.actions.push(Action::Bind);
                }
            }
            Event::Spawned { .. }
            | Event::SpawnFailed { .. }
            | Event::Ready { .. }
            | Event::Failed { .. }
            | Event::Exited { .. }
            | Event::Inspected(_)
            | Event::Read { .. } => {}
        }
    }

    fn step_booting(&mut self, event: Event, now: Instant) {
        match event {
            Event::Asked(Command::Drain) => self.drain(now),
            Event::Asked(Command::Stop) => self.stop(0, now),
            Event::Asked(command) => self.adjust(command),
            Event::Spawned { worker, pid } => self.note_pid(worker, pid),
            Event::SpawnFailed { worker, text } => self.note_spawn_failure(worker, &text, now),
            Event::Ready { worker, app } => self.note_ready(worker, app, now),
            Event::Failed { worker, failure, text } => {
                self.note_failure(worker, failure.exit_code(), &text, now);
            }
            Event::Exited { worker, exit, running } => self.note_exit(worker, exit, &running, now),
            Event::Inspected(vitals) => self.note_vitals(&vitals, now),
            Event::Elapsed => self.note_deadlines(now),
            Event::Bound(_) | Event::Read { .. } => {}
        }
    }

    fn step_serving(&mut self, event: Event, now: Instant) {
        match event {
            Event::Asked(Command::Drain) => self.drain(now),
            Event::Asked(Command::Stop) => self.stop(0, now),
            Event::Asked(command) => self.adjust(command),
            Event::Read { generation, terms: Ok(terms) } => self.roll_to(generation, terms),
            Event::Read { terms: Err(text), .. } => {
                self.log(Level::Error, format!("reload failed, nothing is changed: {text}"));
            }
            Event::Spawned { worker, pid } => self.note_pid(worker, pid),
            Event::SpawnFailed { worker, text } => self.note_spawn_failure(worker, &text, now),
            Event::Ready { worker, app } => self.note_ready(worker, app, now),
            Event::Failed { worker, failure, text } => {
                self.note_failure(worker, failure.exit_code(), &text, now);
            }
            Event::Exited { worker, exit, running } => self.note_exit(worker, exit, &running, now),
            Event::Inspected(vitals) => self.note_vitals(&vitals, now),
            Event::Elapsed => self.note_deadlines(now),
            Event::Bound(_) => {}
        }
    }

    fn step_draining(&mut self, event: Event, now: Instant) {
        match event {
            Event::Asked(Command::Drain | Command::Stop) => self.stop(0, now),
            Event::Asked(Command::Reopen) => self.reopen(),
            Event::Spawned { worker, pid } => self.note_pid(worker, pid),
            Event::SpawnFailed { worker, .. } => drop(self.roster.remove(worker)),
            Event::Exited { worker, exit, running } => self.note_exit(worker, exit, &running, now),
            Event::Elapsed => self.note_deadlines(now),
            Event::Asked(Command::Reload | Command::Add | Command::Remove)
            | Event::Bound(_)
            | Event::Ready { .. }
            | Event::Failed { .. }
            | Event::Inspected(_)
            | Event::Read { .. } => {}
        }
    }

    fn step_stopping(&mut self, event: Event, now: Instant) {
        match event {
            Event::Asked(Command::Reopen) => self.reopen(),
            Event::Spawned { worker, pid } => self.note_pid(worker, pid),
            Event::SpawnFailed { worker, .. } => drop(self.roster.remove(worker)),
            Event::Exited { worker, exit, running } => self.note_exit(worker, exit, &running, now),
            Event::Elapsed => self.note_deadlines(now),
            Event::Asked(
                Command::Drain | Command::Stop | Command::Reload | Command::Add | Command::Remove,
            )
            | Event::Bound(_)
            | Event::Ready { .. }
            | Event::Failed { .. }
            | Event::Inspected(_)
            | Event::Read { .. } => {}
        }
    }

    /// What does not end the master.
    fn adjust(&mut self, command: Command) {
        match command {
            Command::Reload if self.state == State::Serving => self.read_settings(),
            Command::Reload => self.reload_again = true,
            Command::Add => self.resize(self.workers.saturating_add(1)),
            Command::Remove => self.resize(self.workers.saturating_sub(1)),
            Command::Reopen => self.reopen(),
            Command::Drain | Command::Stop => {}
        }
    }

    fn retry_binding(&mut self, failure: BindFailure, until: Option<Instant>, now: Instant) {
        let until = until.unwrap_or(now + BIND_LIMIT);
        if failure.in_use && now < until {
            self.log(Level::Warn, format!("{}; trying again", failure.text));
            self.state = State::Binding { retry: Some(now + BIND_RETRY), until: Some(until) };
        } else {
            self.log(Level::Error, failure.text);
            self.stop(1, now);
        }
    }

    fn resize(&mut self, workers: u16) {
        self.set_number(workers.clamp(1, MOST_WORKERS));
        self.log(Level::Info, format!("{} workers asked for", self.workers));
    }

    fn reopen(&mut self) {
        self.actions.push(Action::Reopen);
        for worker in self.roster.workers() {
            self.actions.push(Action::Tell { worker: worker.id, message: ToWorker::Reopen });
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

    fn read_settings(&mut self) {
        self.newest.0 += 1;
        self.actions.push(Action::ReadSettings { generation: self.newest });
    }

    /// Makes a generation the target, in place of one that was on its way.
    fn roll_to(&mut self, generation: Generation, terms: Terms) {
        let workers_before =
            self.rolling.as_ref().map_or(self.workers, |rolling| rolling.workers_before);
        if terms.workers != self.terms().workers {
            self.set_number(terms.workers);
        }
        self.told.clear();
        self.roster.forget_failures();
        self.log(Level::Info, format!("reloading: gen={generation} replaces gen={}", self.current));
        self.rolling = Some(Rolling { generation, terms, workers_before, proven: false });
    }

    /// Ends a rollout whose generation cannot serve: the old one goes on.
    fn abandon(&mut self) {
        let Some(rolling) = self.rolling.take() else { return };
        if self.workers == rolling.terms.workers {
            self.set_number(rolling.workers_before);
        }
        self.roster.forget_failures();
        let (failed, current) = (rolling.generation, self.current);
        self.log(
            Level::Error,
            format!("reload failed: gen={failed} cannot serve; gen={current} goes on"),
        );
        self.actions.push(Action::Settle { generation: current });
    }

    /// Lets everybody finish, then exits.
    fn drain(&mut self, now: Instant) {
        self.log(Level::Info, "draining".to_owned());
        self.state = State::Draining;
        let limit = self.terms().graceful_timeout;
        for id in self.ids() {
            self.release(id, Why::Stopped, limit, now);
        }
        self.actions.push(Action::CloseListeners);
    }

    /// Stops everybody, then exits with this code.
    fn stop(&mut self, code: u8, now: Instant) {
        self.state = State::Stopping;
        self.code = code;
        for id in self.ids() {
            self.halt(id, now);
        }
        self.actions.push(Action::CloseListeners);
    }

    /// What follows from how things stand, whatever happened.
    fn proceed(&mut self, now: Instant) {
        match self.state {
            State::Booting | State::Serving => {
                self.carry_out_plan(now);
                self.note_progress(now);
                self.arm_inspection(now);
            }
            State::Draining | State::Stopping => {
                (self.inspect, self.wake) = (None, None);
                if self.roster.is_empty() {
                    self.state = State::Stopped;
                    self.actions.push(Action::Exit(self.code));
                }
            }
            State::Binding { .. } | State::Stopped => {}
        }
    }

    fn carry_out_plan(&mut self, now: Instant) {
        let (target, terms) = (self.target(), self.terms().clone());
        let plan = plan(&self.roster, target, terms.limits, now);
        for id in plan.retire {
            self.release(id, Why::Retired, terms.graceful_timeout, now);
        }
        let limit = terms.boot_timeout;
        let until = (limit > Duration::ZERO).then(|| now + limit);
        for slot in plan.spawn {
            let generation = target.generation;
            let worker = self.roster.add(slot, generation, until);
            let workers = self.workers;
            self.actions.push(Action::Spawn { worker, slot, generation, workers });
        }
        self.wake = plan.wake;
    }

    /// Goes on to the next state, or generation, when all are there.
    fn note_progress(&mut self, now: Instant) {
        if !self.target().is_reached(&self.roster) {
            return;
        }
        if self.state == State::Booting {
            if self.purpose == Purpose::Check {
                return self.stop(0, now);
            }
            self.state = State::Serving;
            let (app, workers) = (self.app.clone(), self.workers);
            self.actions.push(Action::Announce { app, workers });
            if std::mem::take(&mut self.reload_again) {
                self.read_settings();
            }
        }
        if let Some(rolling) = self.rolling.take() {
            self.current = rolling.generation;
            self.terms = rolling.terms;
            self.log(Level::Info, format!("reloaded: gen={} serves", self.current));
            self.actions.push(Action::Settle { generation: self.current });
        }
    }

    fn arm_inspection(&mut self, now: Instant) {
        if self.terms().timeout.is_zero() {
            self.inspect = None;
        } else if self.inspect.is_none() {
            self.inspect = Some(now + health::INTERVAL);
        }
    }

    /// What is asked for.
    fn target(&self) -> Target {
        let generation = self.rolling.as_ref().map_or(self.current, |rolling| rolling.generation);
        Target { generation, workers: self.workers }
    }

    /// The newest settings.
    fn terms(&self) -> &Terms {
        self.rolling.as_ref().map_or(&self.terms, |rolling| &rolling.terms)
    }

    /// Moves every deadline when the master has been stopped or suspended: the
    /// workers may have been too, and nobody could tell it what they did.
    fn forgive_pause(&mut self, now: Instant) {
        let Some(expected) = self.expected else { return };
        let late = now.saturating_duration_since(expected);
        if late <= LATE {
            return;
        }
        self.awake = now;
        self.roster.shift(late);
        for deadline in [&mut self.inspect, &mut self.wake] {
            *deadline = deadline.map(|at| at + late);
        }
        self.log(Level::Warn, format!("the master was not running for {} s", late.as_secs()));
    }

    fn log(&mut self, level: Level, text: String) {
        self.actions.push(Action::Log(level, text));
    }

    fn ids(&self) -> Vec<state::WorkerId> {
        self.roster.workers().map(|worker| worker.id).collect()
    }
}
