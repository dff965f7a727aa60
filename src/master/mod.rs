//! The master: what it decides on each event. Nothing in this file, nor in
//! those that it is made of (`life`, `watch`, `succession`, `roster`, `rollout`,
//! `backoff`, `health`, `recycling`, `request`, `status`), touches the world: `shell.rs`
//! does, and reports back. Time is an argument, and chance a seed.

mod backoff;
mod control;
mod health;
mod interpreter;
mod life;
mod listener;
mod memory;
mod mold;
mod notify;
mod pidfile;
mod random;
mod recipe;
mod recycling;
mod request;
mod rollout;
mod roster;
mod shell;
mod spawn;
mod start;
mod stat;
mod state;
mod status;
mod succession;
mod upgrade;
mod watch;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use log::Level;
use monoceros_wire::message::ToWorker;
use monoceros_wire::{Generation, Slot};

pub(crate) use self::pidfile::find_master;
pub(crate) use self::start::run;

use self::random::Random;
use self::request::Waiting;
use self::rollout::{Fallback, Target, plan};
use self::roster::{Life, Place, Roster, Why};
use self::state::{Action, BindFailure, Command, Event, Notice, State, Terms};
use self::status::Tally;
use self::succession::Successor;

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

/// What a master finds when it begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning {
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
    state: State,
    terms: Terms,
    /// How many workers there are to be: what is set, and TTIN and TTOU.
    workers: u16,
    /// How many there were before they were withdrawn.
    withdrawn: Option<u16>,
    /// The generation that serves, or is to be the first.
    current: Generation,
    /// The generation that is replacing it.
    rolling: Option<Rolling>,
    /// The highest number given to a generation.
    newest: Generation,
    /// A reload came when it could not be done yet.
    reload_again: bool,
    /// The master that is to take over.
    successor: Option<Successor>,
    /// The commands that wait for an answer.
    waiting: Waiting,
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
    tally: Tally,
    random: Random,
    /// When the scoreboards are to be looked at.
    inspect: Option<Instant>,
    /// When the plan changes by itself.
    wake: Option<Instant>,
    /// How often the init system is told that all is well, and when next.
    watchdog: Option<(Duration, Instant)>,
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
    /// How many there were.
    lived_before: u16,
    /// One of its workers could be relied on: its code can serve.
    proven: bool,
    /// The most of its workers that could be relied on at a time.
    best: usize,
    /// When it must have one more.
    deadline: Option<Instant>,
}

impl Master {
    /// A master of which nothing exists yet, whose settings are read.
    pub(crate) fn new(beginning: Beginning, terms: Terms, now: Instant) -> Self {
        let Beginning { purpose, generation, follows, workers, watchdog, seed } = beginning;
        Self {
            purpose,
            state: State::Binding { retry: None, until: None },
            workers: workers.unwrap_or(terms.workers),
            withdrawn: None,
            terms,
            current: generation,
            rolling: None,
            newest: generation,
            reload_again: false,
            successor: None,
            waiting: Waiting::default(),
            failed_upgrade: None,
            follows,
            passed_on: false,
            roster: Roster::default(),
            app: String::new(),
            told: BTreeSet::new(),
            failed_reload: None,
            tally: Tally::default(),
            random: Random(seed),
            inspect: None,
            wake: None,
            // Twice as often as it must be (`sd_watchdog_enabled(3)`).
            watchdog: watchdog.map(|every| (every / 2, now + every / 2)),
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
        // What is overdue now was so for another reason than a pause to come.
        self.expected = self.next_deadline().map(|at| at.max(now));
        std::mem::take(&mut self.actions)
    }

    /// When [`Event::Elapsed`] is to come, unless something happens before.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let retry = match self.state {
            State::Binding { retry, .. } => retry,
            State::Booting | State::Serving | State::Draining | State::Stopping => None,
            State::Stopped => return None,
        };
        let rolling = self.rolling.as_ref().and_then(|rolling| rolling.deadline);
        let successor = self.successor.and_then(|successor| successor.deadline());
        let watchdog = self.watchdog.map(|(_, at)| at);
        let own = [retry, self.inspect, self.wake, rolling, successor, watchdog];
        own.into_iter().chain([self.roster.deadline()]).flatten().min()
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
            Event::Asked(command) => self.adjust(command, now),
            Event::Requested { client, request } => self.take_request(client, request, now),
            Event::TookOver => self.take_over(),
            Event::Elapsed => {
                self.note_watchdog(now);
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
            | Event::SuccessorStarted { .. }
            | Event::SuccessorReady
            | Event::SuccessorEnded { .. }
            | Event::Read { .. } => {}
        }
    }

    fn step_booting(&mut self, event: Event, now: Instant) {
        match event {
            Event::Asked(Command::Drain) => self.drain(now),
            Event::Asked(Command::Stop) => self.stop(0, now),
            Event::Asked(command) => self.adjust(command, now),
            Event::Spawned { worker, pid } => self.note_pid(worker, pid),
            Event::SpawnFailed { worker, text } => self.note_spawn_failure(worker, &text, now),
            Event::Ready { worker, app } => self.note_ready(worker, app, now),
            Event::Failed { worker, failure, text } => {
                self.note_failure(worker, failure.exit_code(), &text, now);
            }
            Event::Exited { worker, death } => self.note_exit(worker, &death, now),
            Event::Inspected(vitals) => self.note_vitals(&vitals, now),
            Event::Requested { client, request } => self.take_request(client, request, now),
            Event::TookOver => self.take_over(),
            Event::Elapsed => self.note_deadlines(now),
            Event::Bound(_)
            | Event::SuccessorStarted { .. }
            | Event::SuccessorReady
            | Event::SuccessorEnded { .. }
            | Event::Read { .. } => {}
        }
    }

    fn step_serving(&mut self, event: Event, now: Instant) {
        match event {
            Event::Asked(Command::Drain) => self.drain(now),
            Event::Asked(Command::Stop) => self.stop(0, now),
            Event::Asked(command) => self.adjust(command, now),
            Event::Read { generation, terms: Ok(terms) } => self.roll_to(generation, terms, now),
            Event::Read { generation, terms: Err(text) } => self.refuse_reload(generation, &text),
            Event::Spawned { worker, pid } => self.note_pid(worker, pid),
            Event::SpawnFailed { worker, text } => self.note_spawn_failure(worker, &text, now),
            Event::Ready { worker, app } => self.note_ready(worker, app, now),
            Event::Failed { worker, failure, text } => {
                self.note_failure(worker, failure.exit_code(), &text, now);
            }
            Event::Exited { worker, death } => self.note_exit(worker, &death, now),
            Event::Inspected(vitals) => self.note_vitals(&vitals, now),
            Event::SuccessorStarted { pid } => self.note_successor(pid),
            Event::SuccessorReady => self.hand_over(now),
            Event::SuccessorEnded { text } => self.lose_successor(&text),
            Event::Requested { client, request } => self.take_request(client, request, now),
            Event::TookOver => self.take_over(),
            Event::Elapsed => self.note_deadlines(now),
            Event::Bound(_) => {}
        }
    }

    fn step_draining(&mut self, event: Event, now: Instant) {
        match event {
            // Nobody has asked this one to before: it is its first time.
            Event::Asked(Command::Drain) if std::mem::take(&mut self.passed_on) => {}
            Event::Asked(Command::Drain | Command::Stop) => self.stop(0, now),
            Event::Asked(Command::Reopen) => self.reopen(),
            Event::Spawned { worker, pid } => self.note_pid(worker, pid),
            Event::SpawnFailed { worker, .. } => drop(self.roster.remove(worker)),
            Event::Exited { worker, death } => self.note_exit(worker, &death, now),
            Event::SuccessorStarted { pid } => self.note_successor(pid),
            Event::SuccessorEnded { .. } => self.successor = None,
            Event::Requested { client, request } => self.take_request(client, request, now),
            Event::TookOver => self.take_over(),
            Event::Elapsed => self.note_deadlines(now),
            Event::Asked(
                Command::Reload
                | Command::Add
                | Command::Remove
                | Command::Upgrade
                | Command::Withdraw,
            )
            | Event::Bound(_)
            | Event::Ready { .. }
            | Event::Failed { .. }
            | Event::Inspected(_)
            | Event::SuccessorReady
            | Event::Read { .. } => {}
        }
    }

    fn step_stopping(&mut self, event: Event, now: Instant) {
        match event {
            Event::Asked(Command::Reopen) => self.reopen(),
            Event::Spawned { worker, pid } => self.note_pid(worker, pid),
            Event::SpawnFailed { worker, .. } => drop(self.roster.remove(worker)),
            Event::Exited { worker, death } => self.note_exit(worker, &death, now),
            Event::SuccessorStarted { pid } => self.note_successor(pid),
            Event::SuccessorEnded { .. } => self.successor = None,
            Event::Requested { client, request } => self.take_request(client, request, now),
            Event::TookOver => self.take_over(),
            Event::Elapsed => self.note_deadlines(now),
            Event::Asked(
                Command::Drain
                | Command::Stop
                | Command::Reload
                | Command::Add
                | Command::Remove
                | Command::Upgrade
                | Command::Withdraw,
            )
            | Event::Bound(_)
            | Event::Ready { .. }
            | Event::Failed { .. }
            | Event::Inspected(_)
            | Event::SuccessorReady
            | Event::Read { .. } => {}
        }
    }

    /// What does not end the master.
    fn adjust(&mut self, command: Command, now: Instant) {
        match command {
            Command::Reload if self.successor.is_some() => self.reload_after_upgrade(),
            Command::Reload if self.state == State::Serving => self.read_settings(),
            Command::Reload => self.reload_again = true,
            Command::Add => self.resize(self.workers.saturating_add(1)),
            Command::Remove => self.resize(self.workers.saturating_sub(1)),
            Command::Reopen => self.reopen(),
            Command::Upgrade => {
                if let Err(reason) = self.upgrade(now) {
                    self.log(Level::Warn, reason.to_owned());
                }
            }
            Command::Withdraw => self.withdraw(),
            Command::Drain | Command::Stop => {}
        }
    }

    fn retry_binding(&mut self, failure: BindFailure, until: Option<Instant>, now: Instant) {
        let until = until.unwrap_or(now + BIND_LIMIT);
        if failure.in_use && now < until {
            self.log(Level::Warn, format!("{}; trying again", failure.text));
            self.state = State::Binding { retry: Some(now + BIND_RETRY), until: Some(until) };
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
        if self.state != State::Serving || self.withdrawn.is_some() {
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

    fn read_settings(&mut self) {
        self.notify(Notice::Reloading);
        self.newest.0 += 1;
        self.actions.push(Action::ReadSettings { generation: self.newest });
    }

    /// New settings cannot be used: all goes on with the old ones.
    fn refuse_reload(&mut self, generation: Generation, text: &str) {
        self.log(Level::Error, format!("reload failed, nothing is changed: {text}"));
        self.failed_reload = Some(text.lines().next().unwrap_or_default().to_owned());
        self.answer_unread(generation, text);
        self.end_reload();
    }

    /// Makes a generation the target, in place of one that was on its way.
    fn roll_to(&mut self, generation: Generation, terms: Terms, now: Instant) {
        if let Some(before) = self.withdrawn.take() {
            self.set_number(before);
        }
        let workers_before =
            self.rolling.as_ref().map_or(self.workers, |rolling| rolling.workers_before);
        if terms.workers != self.terms().workers {
            self.set_number(terms.workers);
        }
        self.told.clear();
        self.roster.forget_failures();
        self.log(Level::Info, format!("reloading: gen={generation} replaces gen={}", self.current));
        let deadline = after(terms.progress_deadline, now);
        let lived_before = u16::try_from(self.roster.live().count()).unwrap_or(u16::MAX);
        let (proven, best) = (false, 0);
        self.rolling = Some(Rolling {
            generation,
            terms,
            workers_before,
            lived_before,
            proven,
            best,
            deadline,
        });
    }

    /// Ends a rollout whose generation cannot serve: the old one goes on.
    fn abandon(&mut self, reason: &str) {
        let Some(rolling) = self.rolling.take() else { return };
        if self.workers == rolling.terms.workers {
            self.set_number(rolling.workers_before);
        }
        self.roster.forget_failures();
        let (failed, current) = (rolling.generation, self.current);
        let text = format!("gen={failed} {reason}; gen={current} goes on");
        self.log(Level::Error, format!("reload failed: {text}"));
        self.failed_reload = Some(format!("gen={failed} {reason}"));
        self.answer_abandoned(failed, &text);
        self.actions.push(Action::Settle { generation: current });
        self.end_reload();
    }

    /// Tells the init system that a reload is over, however it went.
    fn end_reload(&mut self) {
        self.tell_status();
        self.notify(Notice::Ready);
    }

    /// Lets everybody finish, then exits.
    fn drain(&mut self, now: Instant) {
        self.log(Level::Info, "draining".to_owned());
        self.leave_service(State::Draining, "draining");
        self.dismiss_successor(now);
        let limit = self.terms().graceful_timeout;
        self.notify(Notice::Extend(limit + STOP_LIMIT));
        for id in self.ids() {
            self.release(id, Why::Stopped, limit, now);
        }
        self.actions.push(Action::CloseListeners);
    }

    /// Stops everybody, then exits with this code, for this reason.
    fn fail(&mut self, code: u8, reason: &str, now: Instant) {
        self.leave_service(State::Stopping, &format!("cannot serve: {}", gist(reason)));
        self.stop(code, now);
    }

    /// Stops everybody, then exits with this code.
    fn stop(&mut self, code: u8, now: Instant) {
        self.leave_service(State::Stopping, "stopping");
        self.dismiss_successor(now);
        self.code = code;
        for id in self.ids() {
            self.halt(id, now);
        }
        self.actions.push(Action::CloseListeners);
    }

    fn leave_service(&mut self, state: State, status: &str) {
        if !matches!(self.state, State::Draining | State::Stopping) {
            self.notify(Notice::Stopping);
            self.notify(Notice::Status(status.to_owned()));
        }
        self.state = state;
    }

    /// What follows from how things stand, whatever happened.
    fn proceed(&mut self, now: Instant) {
        match self.state {
            State::Booting | State::Serving => {
                self.choose_recycled();
                self.carry_out_plan(now);
                self.note_progress(now);
                self.arm_inspection(now);
            }
            State::Draining | State::Stopping => {
                (self.inspect, self.wake, self.rolling) = (None, None, None);
                self.dismiss_leaving();
                if self.roster.is_empty() && self.successor.is_none() {
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
        self.wake = plan.wake;
        for id in plan.retire {
            self.release(id, Why::Retired, terms.graceful_timeout, now);
        }
        self.tend_molds(now);
        for (slot, generation) in plan.spawn {
            if self.has_mold(generation) {
                self.spawn(slot, generation, now);
            }
        }
    }

    fn spawn(&mut self, slot: Slot, generation: Generation, now: Instant) {
        let terms = self.terms();
        let until = after(terms.boot_timeout, now);
        let ready_at = terms.ready_after.map(|length| now + length);
        let life = Life::Booting { until, ready_at };
        let worker = self.roster.add(Place::Slot(slot), generation, life);
        let workers = self.workers;
        self.actions.push(Action::Spawn { worker, slot, generation, workers });
    }

    /// Has a mold for each generation that may have to fork workers, and no
    /// other.
    fn tend_molds(&mut self, now: Instant) {
        let wanted = self.generations_with_mold();
        let unwanted: Vec<_> = self
            .roster
            .molds()
            .filter(|mold| mold.is_live() && !wanted.contains(&mold.generation))
            .map(|mold| mold.id)
            .collect();
        for id in unwanted {
            self.release(id, Why::Retired, BOOT_STOP_LIMIT, now);
        }
        let lacks = |generation: &Generation| {
            !self.roster.molds().any(|it| it.is_live() && it.generation == *generation)
        };
        let lacking: Vec<_> = wanted.into_iter().filter(lacks).collect();
        for generation in lacking {
            if let Some(at) = self.roster.wait(Place::Mold, now) {
                self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
                continue;
            }
            let until = after(self.terms().boot_timeout, now);
            let life = Life::Booting { until, ready_at: None };
            let worker = self.roster.add(Place::Mold, generation, life);
            self.actions.push(Action::SpawnMold { worker, generation });
        }
    }

    fn generations_with_mold(&self) -> Vec<Generation> {
        let rolling = self.rolling.as_ref().map(|it| (it.generation, it.terms.preload));
        let known = [Some((self.current, self.terms.preload)), rolling];
        known.into_iter().flatten().filter(|(_, preload)| *preload).map(|(it, _)| it).collect()
    }

    fn has_mold(&self, generation: Generation) -> bool {
        let preloads = self.generations_with_mold().contains(&generation);
        !preloads || self.roster.molds().any(|it| it.is_ready() && it.generation == generation)
    }

    /// Goes on to the next state, or generation, when all are there.
    fn note_progress(&mut self, now: Instant) {
        let target = self.target();
        if let Some(rolling) = &mut self.rolling {
            let count = target.count(&self.roster, now);
            if count > rolling.best {
                rolling.best = count;
                rolling.proven = true;
                rolling.deadline = after(rolling.terms.progress_deadline, now);
            }
        }
        if !target.is_reached(&self.roster, now) {
            return;
        }
        if self.state == State::Booting {
            if self.purpose == Purpose::Check {
                return self.stop(0, now);
            }
            self.state = State::Serving;
            let (app, workers) = (self.app.clone(), self.workers);
            self.actions.push(Action::Announce { app, workers });
            self.end_reload();
            if std::mem::take(&mut self.reload_again) {
                self.read_settings();
            }
        }
        if let Some(rolling) = self.rolling.take() {
            self.current = rolling.generation;
            self.terms = rolling.terms;
            self.failed_reload = None;
            self.log(Level::Info, format!("reloaded: gen={} serves", self.current));
            self.answer_reloaded();
            self.actions.push(Action::Settle { generation: self.current });
            self.tend_molds(now);
            self.end_reload();
        }
    }

    fn arm_inspection(&mut self, now: Instant) {
        if self.inspect.is_none() {
            self.inspect = Some(now + health::interval(self.terms().timeout));
        }
    }

    /// What is asked for.
    fn target(&self) -> Target {
        let workers = self.workers;
        let Some(rolling) = &self.rolling else {
            // The first workers need not be old before they are announced.
            let booting = self.state == State::Booting;
            let min_ready = if booting { Duration::ZERO } else { self.terms.min_ready };
            return Target { generation: self.current, workers, min_ready, fallback: None };
        };
        let before = rolling.workers_before.min(rolling.lived_before);
        let fallback = Fallback { generation: self.current, workers: before };
        Target {
            generation: rolling.generation,
            workers,
            min_ready: rolling.terms.min_ready,
            fallback: Some(fallback).filter(|_| !rolling.proven),
        }
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
        let timeout = self.terms().timeout;
        let harmless = if timeout.is_zero() { LATE } else { LATE.min(timeout / 2) };
        if late <= harmless {
            return;
        }
        self.awake = now;
        self.roster.shift(late);
        for deadline in [&mut self.inspect, &mut self.wake] {
            *deadline = deadline.map(|at| at + late);
        }
        if let Some(rolling) = &mut self.rolling {
            rolling.deadline = rolling.deadline.map(|at| at + late);
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

    fn ids(&self) -> Vec<state::WorkerId> {
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
