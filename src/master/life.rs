//! What becomes of single workers: how the master hears of them, lets them go
//! and ends them. The other half of `mod.rs`.

use std::time::{Duration, Instant};

use log::Level;
use monoceros_wire::message::{BootFailure, ToWorker};
use monoceros_wire::scoreboard::Running;

use super::roster::{Life, Why, Worker};
use super::state::{Action, Exit, Signal, State, Vital, WorkerId};
use super::{ABORT_LIMIT, BOOT_STOP_LIMIT, Master, Purpose, STOP_LIMIT, health};

/// An end of a worker that lived for so long, with exit code 0, was somebody's
/// wish (`kill PID`), not a fault.
const WISHED: Duration = Duration::from_secs(1);
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
        if !matches!(worker.life, Life::Booting { .. }) {
            return;
        }
        worker.life = Life::Ready { since: now };
        let (generation, text) = (worker.generation, format!("{worker} ready"));
        self.app = app;
        self.log(Level::Info, text);
        if let Some(rolling) = self.rolling.as_mut().filter(|it| it.generation == generation) {
            rolling.proven = true;
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
    pub(super) fn note_spawn_failure(&mut self, id: WorkerId, text: &str, now: Instant) {
        let Some(worker) = self.roster.remove(id) else { return };
        if worker.is_live() {
            self.fail_boot(&worker, BootFailure::Interpreter.exit_code(), text, now);
        }
    }

    /// A worker's process is gone.
    pub(super) fn note_exit(
        &mut self,
        id: WorkerId,
        exit: Exit,
        running: &[Running],
        now: Instant,
    ) {
        let Some(worker) = self.roster.remove(id) else { return };
        match worker.life {
            Life::Booting { .. } => {
                let text = format!("it ended with {exit} before it was ready");
                self.fail_boot(&worker, BootFailure::Boot.exit_code(), &text, now);
            }
            Life::Ready { .. } => self.note_death(&worker, exit, running, now),
            Life::Leaving { why, .. } => self.note_leave(&worker, exit, why, false, running),
            Life::Killed { why } => self.note_leave(&worker, exit, why, true, running),
        }
    }

    /// A serving worker died unasked.
    fn note_death(&mut self, worker: &Worker, exit: Exit, running: &[Running], now: Instant) {
        let lived = worker.lived(now);
        let wished = exit == Exit::Code(0) && lived >= WISHED;
        let backoff = self.roster.backoff(worker.slot);
        if wished {
            backoff.pause(now)
        } else {
            backoff.fail(lived, now)
        }
        let level = if wished { Level::Warn } else { Level::Error };
        self.log(level, format!("{worker} died: {exit}{}", describe(running)));
    }

    /// A worker is gone that was to go.
    fn note_leave(
        &mut self,
        worker: &Worker,
        exit: Exit,
        why: Why,
        killed: bool,
        running: &[Running],
    ) {
        let in_time = if killed {
            ", killed by the master: it did not finish within graceful-timeout"
        } else {
            ""
        };
        let clean = exit == Exit::Code(0) || matches!(exit, Exit::Signal(_)) && !killed;
        let (fault, ours) = match why {
            Why::Retired | Why::Stopped => (!clean, in_time),
            Why::Failed => (false, ""),
            Why::Late => (true, ", killed by the master: it was not ready within boot-timeout"),
            Why::Hung => (true, ", killed by the master: it hung"),
        };
        // When the first boot has failed, the reason has been told.
        let level = match (self.code, fault) {
            (1.., _) => Level::Debug,
            (0, true) => Level::Warn,
            (0, false) => Level::Info,
        };
        self.log(level, format!("{worker} left: {exit}{ours}{}", describe(running)));
    }

    /// A worker did not get ready, for the reason in `text`.
    fn fail_boot(&mut self, worker: &Worker, code: u8, text: &str, now: Instant) {
        self.tell_once(worker, text);
        let rolling = self.rolling.as_ref().filter(|it| it.generation == worker.generation);
        let unproven = rolling.is_some_and(|rolling| !rolling.proven);
        if self.state == State::Booting {
            let code = if self.purpose == Purpose::Check { 1 } else { code };
            self.stop(code, now);
        } else if unproven {
            self.abandon();
        } else {
            self.roster.backoff(worker.slot).fail(Duration::ZERO, now);
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

    pub(super) fn note_vitals(&mut self, vitals: &[Vital], now: Instant) {
        let timeout = self.terms().timeout;
        let awake = now.saturating_duration_since(self.awake);
        for vital in vitals {
            let Some(worker) = self.roster.get(vital.worker).filter(|it| it.is_ready()) else {
                continue;
            };
            if let Some(hang) = health::judge(vital, timeout, worker.lived(now), awake) {
                let (slot, text) = (worker.slot, format!("{worker} {hang}; killing it"));
                self.log(Level::Error, text);
                self.abort(vital.worker, Why::Hung, now);
                self.roster.backoff(slot).pause(now);
            }
        }
    }

    /// Does what workers' deadlines, and the master's own, ask for.
    pub(super) fn note_deadlines(&mut self, now: Instant) {
        for id in self.ids() {
            let due = self.roster.get(id).filter(|it| it.deadline().is_some_and(|at| at <= now));
            match due.map(|worker| worker.life) {
                Some(Life::Booting { .. }) => self.note_late(id, now),
                Some(Life::Leaving { why, .. }) => self.kill(id, why),
                Some(Life::Ready { .. } | Life::Killed { .. }) | None => {}
            }
        }
        if self.inspect.is_some_and(|at| at <= now) {
            self.inspect = Some(now + health::INTERVAL);
            self.actions.push(Action::Inspect);
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
        match worker.life {
            Life::Booting { .. } => {
                worker.life = Life::Leaving { until: now + BOOT_STOP_LIMIT, why };
                self.actions.push(Action::Signal { worker: id, signal: Signal::Terminate });
            }
            Life::Ready { .. } => {
                worker.life = Life::Leaving { until: now + limit, why };
                let message = ToWorker::Drain { serve_queue: why == Why::Stopped };
                self.actions.push(Action::Tell { worker: id, message });
            }
            Life::Leaving { until, why } => {
                worker.life = Life::Leaving { until: until.min(now + limit), why };
            }
            Life::Killed { .. } => {}
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
    fn abort(&mut self, id: WorkerId, why: Why, now: Instant) {
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

/// The requests that a worker left undone.
fn describe(running: &[Running]) -> String {
    let labels: Vec<_> = running.iter().map(|running| running.label.as_str()).collect();
    if labels.is_empty() {
        String::new()
    } else {
        format!("; it was running {}", labels.join(", "))
    }
}
