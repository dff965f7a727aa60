//! What becomes of single workers: how the master hears of them, lets them go
//! and ends them. The other half of `mod.rs`.

use std::time::{Duration, Instant};

use log::Level;
use monoceros_wire::message::{BootFailure, Drain, ToWorker};

use super::rolling::Rolling;
use super::roster::{Life, Place, Why, Worker};
use super::state::{Action, Death, Exit, Notice, Refusal, Signal, State, WorkerId};
use super::{ABORT_LIMIT, BOOT_STOP_LIMIT, Master, Purpose, STOP_LIMIT, contention, gist, health};

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
        if matches!(worker.life, Life::Leaving { .. }) {
            return self.note_late_ready(id, now);
        }
        if !matches!(worker.life, Life::Booting { .. }) {
            return;
        }
        worker.life = Life::Ready { since: now };
        let (place, text) = (worker.place, format!("{worker} ready"));
        self.log(Level::Info, text);
        if let Place::Slot(_) = place {
            self.app = app;
            self.allot(id, now);
        }
    }

    /// A worker that was told to go before it was ready got ready: it may have
    /// requests, so it drains like every other.
    pub(super) fn note_late_ready(&mut self, id: WorkerId, now: Instant) {
        let limit = self.terms().graceful_timeout;
        let Some(worker) = self.roster.get_mut(id) else { return };
        if let Life::Leaving { why: why @ (Why::Retired | Why::Stopped), .. } = worker.life
            && worker.slot().is_some()
        {
            worker.life = Life::Leaving { until: now + limit, why };
            let message = ToWorker::Drain(Drain::Retire);
            self.actions.push(Action::Tell { worker: id, message });
        }
    }

    /// A worker said why it cannot serve; its exit follows.
    pub(super) fn note_failure(&mut self, id: WorkerId, code: u8, text: &str, now: Instant) {
        let Some(worker) = self.roster.get_mut(id) else { return };
        if !matches!(worker.life, Life::Booting { .. }) {
            return;
        }
        worker.life = Life::Leaving { until: now + STOP_LIMIT, why: Why::Failed };
        let worker = worker.clone();
        self.fail_boot(&worker, code, text, now);
    }

    /// A process could not be made, or could not become the program meant.
    pub(super) fn note_spawn_failure(&mut self, id: WorkerId, refusal: &Refusal, now: Instant) {
        let Some(worker) = self.roster.remove(id) else { return };
        if !worker.is_live() {
            return;
        }
        let Refusal { text, passes } = refusal;
        if *passes && self.is_first_start() {
            self.tell_once(&worker, &format!("{text}; trying again"));
            self.roster.fail(worker.place, Duration::ZERO, now, &mut self.random);
        } else {
            self.fail_boot(&worker, BootFailure::Interpreter.exit_code(), text, now);
        }
    }

    /// Nobody serves, here or elsewhere, and somebody waits for that.
    fn is_first_start(&self) -> bool {
        self.state == State::Booting && self.purpose == Purpose::Serve && !self.follows
    }

    /// A worker's process is gone.
    pub(super) fn note_exit(&mut self, id: WorkerId, death: &Death, now: Instant) {
        let Some(worker) = self.roster.remove(id) else { return };
        self.tally.add(worker.record.requests, &death.losses);
        match worker.life {
            Life::Booting { .. } => {
                let (cause, left) = (explain(death), describe(death));
                let text = format!("it ended with {cause} before it was ready{left}");
                self.fail_boot(&worker, BootFailure::Boot.exit_code(), &text, now);
            }
            Life::Ready { .. } => self.note_death(&worker, death, now),
            Life::Leaving { why, .. } => self.note_leave(&worker, death, why, false),
            Life::Killed { why } => self.note_leave(&worker, death, why, true),
        }
    }

    /// A serving worker died unasked.
    fn note_death(&mut self, worker: &Worker, death: &Death, now: Instant) {
        let lived = worker.lived(now);
        let wished = death.exit == Exit::Code(0) && lived >= WISHED;
        let wait = if wished {
            self.roster.pause(worker.place, now);
            String::new()
        } else {
            let wait = self.roster.fail(worker.place, lived, now, &mut self.random);
            format!("; the next one in {:.1} s", wait.as_secs_f64())
        };
        let level = if wished { Level::Warn } else { Level::Error };
        let (cause, left) = (explain(death), describe(death));
        self.log(level, format!("{worker} died: {cause}{wait}{left}"));
        self.doubt(worker);
    }

    /// A new generation of which a worker dies young is not to be trusted.
    fn doubt(&mut self, worker: &Worker) {
        let unproven = |it: &&Rolling| it.generation == worker.generation && !it.proven;
        if self.rolling.as_ref().filter(unproven).is_some() && worker.slot().is_some() {
            self.abandon("does not last");
        }
    }

    /// A worker is gone that was to go.
    fn note_leave(&mut self, worker: &Worker, death: &Death, why: Why, killed: bool) {
        let in_time = if killed {
            ", killed by the master: it did not finish within graceful-timeout"
        } else {
            ""
        };
        let clean = match death.exit {
            Exit::Code(code) => code == 0,
            Exit::Signal(_) => !killed && !death.out_of_memory,
        };
        let (fault, ours) = match why {
            Why::Retired | Why::Stopped => (!clean, in_time),
            Why::Failed => (false, ""),
            Why::Late => (true, ", killed by the master: it was not ready within boot-timeout"),
            Why::Hung if killed => (true, ", killed by the master: it hung"),
            Why::Hung => (true, ": it hung"),
        };
        // When the first boot has failed, the reason has been told; but not yet
        // where a worker was that was late.
        let shows = why == Why::Late && !death.stacks.is_empty();
        let level = match (self.code, fault) {
            (1.., _) if !shows => Level::Debug,
            (_, true) => Level::Warn,
            (_, false) => Level::Info,
        };
        let cause = if killed { death.exit.to_string() } else { explain(death) };
        self.log(level, format!("{worker} left: {cause}{ours}{}", describe(death)));
    }

    /// A worker did not get ready, for the reason in `text`.
    fn fail_boot(&mut self, worker: &Worker, code: u8, text: &str, now: Instant) {
        let hint = self.hint(gist(text));
        let line = hint.map_or(String::new(), |hint| format!("\n{hint}"));
        self.tell_once(worker, &format!("{text}{line}"));
        let rolling = self.rolling.as_ref().filter(|it| it.generation == worker.generation);
        let unproven = rolling.is_some_and(|rolling| !rolling.proven);
        if self.state == State::Booting && self.roster.ready().next().is_none() {
            let code = if self.purpose == Purpose::Check { 1 } else { code };
            self.fail(code, text, now);
        } else if unproven {
            let hint = hint.map_or(String::new(), |hint| format!(" ({hint})"));
            self.abandon(&format!("cannot serve: {}{hint}", gist(text)));
        } else {
            self.roster.fail(worker.place, Duration::ZERO, now, &mut self.random);
        }
    }

    /// What to do about a failure that reads as if another worker were its cause.
    fn hint(&self, gist: &str) -> Option<&'static str> {
        let terms = self.terms();
        if !contention::is_likely(gist) {
            None
        } else if self.follows {
            Some("the workers of the old master may have it: restart in place of the upgrade")
        } else if self.roster.ready().next().is_none() {
            None
        } else if terms.preload {
            Some("another process of this server may have it: open it in each worker instead")
        } else if terms.limits.surge() > 0 {
            Some(
                "another worker may have it: with --max-surge 0 --max-unavailable 1 a new worker \
                 starts when an old one has ended",
            )
        } else {
            None
        }
    }

    /// Logs why a worker cannot boot, in full the first time only.
    fn tell_once(&mut self, worker: &Worker, text: &str) {
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
            match due.map(|worker| worker.life) {
                Some(Life::Booting { until, .. }) if until.is_some_and(|at| at <= now) => {
                    self.note_late(id, now);
                }
                // It has lived for as long as a worker must that says nothing.
                Some(Life::Booting { .. }) => self.note_ready(id, self.app.clone(), now),
                Some(Life::Leaving { why, .. }) => self.kill(id, why),
                Some(Life::Ready { .. } | Life::Killed { .. }) | None => {}
            }
        }
        self.note_watchdog(now);
        self.note_successor_deadline(now);
        if self.rolling.as_ref().is_some_and(|it| it.deadline.is_some_and(|at| at <= now)) {
            self.abandon("made no progress within progress-deadline");
        }
        if self.inspect.is_some_and(|at| at <= now) {
            self.inspect = Some(now + health::interval(self.terms().timeout));
            self.actions.push(Action::Inspect);
            if self.state == State::Booting || self.rolling.is_some() || self.reload_again {
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
        let asked = self.state == State::Serving && self.workers > 0;
        if !asked || self.roster.ready().any(|worker| !worker.is_doomed()) {
            self.notify(Notice::Alive);
        }
    }

    fn note_late(&mut self, id: WorkerId, now: Instant) {
        let limit = self.terms().boot_timeout.as_secs();
        self.abort(id, Why::Late, now);
        if let Some(worker) = self.roster.get(id).cloned() {
            let text = format!("not ready within boot-timeout ({limit} s)");
            self.fail_boot(&worker, BootFailure::Boot.exit_code(), &text, now);
        }
    }

    /// Lets a worker finish what it has; one that serves nobody has nothing to
    /// finish. A worker that leaves already gets no more time.
    pub(super) fn release(&mut self, id: WorkerId, why: Why, limit: Duration, now: Instant) {
        let Some(worker) = self.roster.get_mut(id) else { return };
        let serves = worker.is_ready() && worker.slot().is_some();
        match worker.life {
            Life::Booting { .. } | Life::Ready { .. } if !serves => {
                // A mold ends what the application has started at import.
                let limit = if worker.is_ready() { STOP_LIMIT } else { BOOT_STOP_LIMIT };
                worker.life = Life::Leaving { until: now + limit, why };
                self.actions.push(Action::Signal { worker: id, signal: Signal::Terminate });
            }
            Life::Booting { .. } | Life::Ready { .. } => {
                worker.life = Life::Leaving { until: now + limit, why };
                let drain = match why {
                    Why::Stopped => Drain::ServeQueue,
                    Why::Hung => Drain::Refuse,
                    Why::Retired | Why::Failed | Why::Late => Drain::Retire,
                };
                let message = ToWorker::Drain(drain);
                self.actions.push(Action::Tell { worker: id, message });
            }
            Life::Leaving { until, why } => {
                worker.life = Life::Leaving { until: until.min(now + limit), why };
            }
            Life::Killed { .. } => {}
        }
    }

    /// Lets all workers finish what they have. Their molds follow them.
    pub(super) fn release_workers(&mut self, why: Why, limit: Duration, now: Instant) {
        let ids: Vec<_> = self.roster.workers().map(|worker| worker.id).collect();
        for id in ids {
            self.release(id, why, limit, now);
        }
    }

    /// Stops a worker at once.
    pub(super) fn halt(&mut self, id: WorkerId, now: Instant) {
        let Some(worker) = self.roster.get_mut(id) else { return };
        let (signal, until, why) = match worker.life {
            Life::Booting { .. } => (Signal::Terminate, now + BOOT_STOP_LIMIT, Why::Stopped),
            Life::Ready { .. } => (Signal::Quit, now + STOP_LIMIT, Why::Stopped),
            Life::Leaving { until, why } => (Signal::Quit, until.min(now + STOP_LIMIT), why),
            Life::Killed { .. } => return,
        };
        worker.life = Life::Leaving { until, why };
        // Others are on their way out already, and may be telling why.
        if matches!(why, Why::Retired | Why::Stopped) {
            self.actions.push(Action::Signal { worker: id, signal });
        }
    }

    /// Ends a worker that does not answer, after a chance to show where it is.
    pub(super) fn abort(&mut self, id: WorkerId, why: Why, now: Instant) {
        let Some(worker) = self.roster.get_mut(id) else { return };
        worker.life = Life::Leaving { until: now + ABORT_LIMIT, why };
        self.actions.push(Action::Signal { worker: id, signal: Signal::Abort });
    }

    fn kill(&mut self, id: WorkerId, why: Why) {
        let Some(worker) = self.roster.get_mut(id) else { return };
        worker.life = Life::Killed { why };
        self.actions.push(Action::Signal { worker: id, signal: Signal::Kill });
    }
}

/// How a process ended, and who has done it as far as the exit tells.
fn explain(death: &Death) -> String {
    if death.out_of_memory && death.exit == Exit::Signal(libc::SIGKILL) {
        return format!("{}, by the kernel: out of memory", death.exit);
    }
    match death.exit {
        Exit::Signal(libc::SIGKILL) => format!("{}, not by the master", death.exit),
        Exit::Code(_) | Exit::Signal(_) => death.exit.to_string(),
    }
}

/// The requests that a worker left undone, and where it was.
fn describe(death: &Death) -> String {
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
