//! The master: what it decides on each event. Nothing in this file, nor in
//! those that it is made of (`rolling`, `staff`, `life`, `watch`, `succession`,
//! `ending`, `request`, `roster`, `rollout`, `backoff`, `contention`, `health`, `pauses`,
//! `recycling`, `status`), touches the world: `shell.rs` does, and reports back. Time is an
//! argument, and chance a seed.

mod backoff;
mod contention;
mod control;
mod ending;
mod executable;
mod health;
mod herald;
mod interpreter;
mod life;
mod listener;
mod logs;
mod memory;
mod mold;
mod notify;
mod own;
mod pauses;
mod pidfile;
mod random;
mod reach;
mod recipe;
mod recycling;
mod request;
mod rolling;
mod rollout;
mod roster;
mod shell;
mod spawn;
mod staff;
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
use monoceros_config::SignalCommand;
use monoceros_wire::Generation;
use monoceros_wire::message::ToWorker;

pub(crate) use self::pidfile::find_master;
pub(crate) use self::start::run;

use self::pauses::Pauses;
use self::random::Random;
use self::request::Waiting;
use self::rolling::Rolling;
use self::roster::{Roster, Why};
use self::state::{Action, BindFailure, Event, Notice, State, Terms};
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
    /// When the master has not run.
    pauses: Pauses,
    code: u8,
    actions: Vec<Action>,
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
            pauses: Pauses::since(now),
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
            State::Delaying { until } => self.step_delaying(event, until, now),
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
        let step = match self.state {
            State::Binding { retry, .. } => retry,
            State::Delaying { until } => Some(until),
            State::Booting | State::Serving | State::Draining | State::Stopping => None,
            State::Stopped => return None,
        };
        let rolling = self.rolling.as_ref().and_then(|rolling| rolling.deadline);
        let successor = self.successor.and_then(|successor| successor.deadline());
        let watchdog = self.watchdog.map(|(_, at)| at);
        let own = [step, self.inspect, self.wake, rolling, successor, watchdog];
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
            Event::Asked(SignalCommand::Drain | SignalCommand::Stop) => {
                self.state = State::Stopping
            }
            Event::Asked(command) => self.adjust(command, now),
            Event::Requested { client, request } => self.take_request(client, request, now),
            Event::TookOver { workers } => self.take_over(workers),
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
            Event::Asked(SignalCommand::Drain) => self.depart(now),
            Event::Asked(SignalCommand::Stop) => self.stop(0, now),
            Event::Asked(command) => self.adjust(command, now),
            Event::Spawned { worker, pid } => self.note_pid(worker, pid),
            Event::SpawnFailed { worker, refusal } => {
                self.note_spawn_failure(worker, &refusal, now);
            }
            Event::Ready { worker, app } => self.note_ready(worker, app, now),
            Event::Failed { worker, failure, text } => {
                self.note_failure(worker, failure.exit_code(), &text, now);
            }
            Event::Exited { worker, death } => self.note_exit(worker, &death, now),
            Event::Inspected(vitals) => self.note_vitals(&vitals, now),
            Event::Requested { client, request } => self.take_request(client, request, now),
            Event::TookOver { workers } => self.take_over(workers),
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
            Event::Asked(SignalCommand::Drain) => self.depart(now),
            Event::Asked(SignalCommand::Stop) => self.stop(0, now),
            Event::Asked(command) => self.adjust(command, now),
            Event::Read { generation, terms: Ok(terms) } => self.roll_to(generation, terms, now),
            Event::Read { generation, terms: Err(text) } => self.refuse_reload(generation, &text),
            Event::Spawned { worker, pid } => self.note_pid(worker, pid),
            Event::SpawnFailed { worker, refusal } => {
                self.note_spawn_failure(worker, &refusal, now);
            }
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
            Event::TookOver { workers } => self.take_over(workers),
            Event::Elapsed => self.note_deadlines(now),
            Event::Bound(_) => {}
        }
    }

    /// As while it serves, but nothing begins that would outlast it.
    fn step_delaying(&mut self, event: Event, until: Instant, now: Instant) {
        match event {
            Event::Asked(SignalCommand::Drain) => self.drain(now),
            Event::Asked(SignalCommand::Stop) => self.stop(0, now),
            Event::Asked(
                command @ (SignalCommand::Add | SignalCommand::Remove | SignalCommand::Reopen),
            ) => {
                self.adjust(command, now);
            }
            Event::Asked(
                SignalCommand::Reload | SignalCommand::Upgrade | SignalCommand::Withdraw,
            ) => self.refuse_wish(),
            Event::Read { generation, terms: Ok(terms) } => self.roll_to(generation, terms, now),
            Event::Read { generation, terms: Err(text) } => self.refuse_reload(generation, &text),
            Event::Spawned { worker, pid } => self.note_pid(worker, pid),
            Event::SpawnFailed { worker, refusal } => {
                self.note_spawn_failure(worker, &refusal, now);
            }
            Event::Ready { worker, app } => self.note_ready(worker, app, now),
            Event::Failed { worker, failure, text } => {
                self.note_failure(worker, failure.exit_code(), &text, now);
            }
            Event::Exited { worker, death } => self.note_exit(worker, &death, now),
            Event::Inspected(vitals) => self.note_vitals(&vitals, now),
            Event::SuccessorStarted { pid } => self.note_successor(pid),
            Event::SuccessorEnded { .. } => self.successor = None,
            Event::Requested { client, request } => self.take_request(client, request, now),
            Event::TookOver { workers } => self.take_over(workers),
            Event::Elapsed => {
                self.note_deadlines(now);
                if until <= now {
                    self.drain(now);
                }
            }
            Event::Bound(_) | Event::SuccessorReady => {}
        }
    }

    fn step_draining(&mut self, event: Event, now: Instant) {
        match event {
            // Nobody has asked this one to before: it is its first time.
            Event::Asked(SignalCommand::Drain) if std::mem::take(&mut self.passed_on) => {}
            Event::Asked(SignalCommand::Drain | SignalCommand::Stop) => self.stop(0, now),
            Event::Asked(SignalCommand::Reopen) => self.reopen(),
            Event::Spawned { worker, pid } => self.note_pid(worker, pid),
            Event::SpawnFailed { worker, .. } => drop(self.roster.remove(worker)),
            Event::Exited { worker, death } => self.note_exit(worker, &death, now),
            Event::Inspected(vitals) => self.note_vitals(&vitals, now),
            Event::SuccessorStarted { pid } => self.note_successor(pid),
            Event::SuccessorEnded { .. } => self.successor = None,
            Event::Requested { client, request } => self.take_request(client, request, now),
            Event::TookOver { workers } => self.take_over(workers),
            Event::Elapsed => self.note_deadlines(now),
            Event::Ready { worker, .. } => self.note_late_ready(worker, now),
            Event::Asked(
                SignalCommand::Reload
                | SignalCommand::Add
                | SignalCommand::Remove
                | SignalCommand::Upgrade
                | SignalCommand::Withdraw,
            )
            | Event::Bound(_)
            | Event::Failed { .. }
            | Event::SuccessorReady
            | Event::Read { .. } => {}
        }
    }

    fn step_stopping(&mut self, event: Event, now: Instant) {
        match event {
            Event::Asked(SignalCommand::Reopen) => self.reopen(),
            Event::Spawned { worker, pid } => self.note_pid(worker, pid),
            Event::SpawnFailed { worker, .. } => drop(self.roster.remove(worker)),
            Event::Exited { worker, death } => self.note_exit(worker, &death, now),
            Event::SuccessorStarted { pid } => self.note_successor(pid),
            Event::SuccessorEnded { .. } => self.successor = None,
            Event::Requested { client, request } => self.take_request(client, request, now),
            Event::TookOver { workers } => self.take_over(workers),
            Event::Elapsed => self.note_deadlines(now),
            Event::Asked(
                SignalCommand::Drain
                | SignalCommand::Stop
                | SignalCommand::Reload
                | SignalCommand::Add
                | SignalCommand::Remove
                | SignalCommand::Upgrade
                | SignalCommand::Withdraw,
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
    fn adjust(&mut self, command: SignalCommand, now: Instant) {
        match command {
            SignalCommand::Reload if self.successor.is_some() => self.reload_after_upgrade(),
            SignalCommand::Reload if self.state == State::Serving => self.read_settings(),
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

    /// What follows from how things stand, whatever happened.
    fn proceed(&mut self, now: Instant) {
        match self.state {
            State::Booting | State::Serving | State::Delaying { .. } => {
                self.choose_recycled();
                self.carry_out_plan(now);
                self.note_progress(now);
                self.arm_inspection(now);
            }
            State::Draining | State::Stopping => {
                (self.wake, self.rolling) = (None, None);
                self.dismiss_leaving();
                self.dismiss_molds(&[], Why::Stopped, now);
                // A request may still take too long while the rest is finished.
                if self.state == State::Draining {
                    self.arm_inspection(now);
                } else {
                    self.inspect = None;
                }
                if self.roster.is_empty() && self.successor.is_none() {
                    self.state = State::Stopped;
                    self.actions.push(Action::Exit(self.code));
                }
            }
            State::Binding { .. } | State::Stopped => {}
        }
    }

    fn arm_inspection(&mut self, now: Instant) {
        if self.inspect.is_none() {
            self.inspect = Some(now + health::interval(self.terms().timeout));
        }
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
        self.pauses.add(late, now);
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
