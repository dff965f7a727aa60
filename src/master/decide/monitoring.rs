//! What the master makes of the samples that the scoreboards give: requests that take too
//! long, workers that hang, workers that are due to be recycled. Owns when the next
//! samples are taken. Called by `pool.rs` only.

use std::fmt::Write;
use std::time::{Duration, Instant};

use log::Level;
use monoceros_log::MessageId;
use monoceros_wire::message::ToWorker;

use crate::master::decide::action::{Action, Actions};
use crate::master::decide::id::WorkerId;
use crate::master::decide::roster::{Disposition, LeaveReason, Observations, Roster, WorkerState};
use crate::master::decide::rules::health::{self, Finding, Hang};
use crate::master::decide::sample::{RunningRequest, WorkerSample};
use crate::master::decide::settings::MasterSettings;
use crate::master::decide::suspends::Suspends;
use crate::master::decide::{lifecycle, recycling};

/// The time that a worker has to write its stacks. On a busy machine it may not come to
/// run at once, and a message about its end would not reach it either. Only the time for
/// which the master has run counts.
const STACKS_LIMIT: Duration = Duration::from_secs(3);

/// When the scoreboards are read next.
#[derive(Debug, Default)]
pub(crate) struct Monitor {
    next: Option<Instant>,
}

/// What the judgement of samples depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions<'a> {
    /// The newest settings.
    pub(crate) settings: &'a MasterSettings,
    /// When the master did not run.
    pub(crate) suspends: &'a Suspends,
    /// The time of the samples.
    pub(crate) now: Instant,
}

impl Monitor {
    /// When the scoreboards are read next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Moves that time by a suspend of the master.
    pub(crate) fn shift(&mut self, by: Duration) {
        self.next = self.next.map(|at| at + by);
    }

    /// Reads the scoreboards from now on.
    pub(crate) fn start(&mut self, timeout: Duration, now: Instant) {
        self.next.get_or_insert_with(|| now + health::interval(timeout));
    }

    /// Reads no scoreboard any more.
    pub(crate) fn stop(&mut self) {
        self.next = None;
    }

    /// Whether the scoreboards are to be read now; sets the next time if so.
    pub(crate) fn take_due(&mut self, timeout: Duration, now: Instant) -> bool {
        let due = self.next.is_some_and(|at| at <= now);
        if due {
            self.next = Some(now + health::interval(timeout));
        }
        due
    }
}

/// Judges all samples of one moment.
pub(crate) fn judge_samples(
    roster: &mut Roster,
    samples: &[WorkerSample],
    conditions: Conditions,
    actions: &mut Actions,
) {
    for sample in samples {
        let Some(worker) = roster.get_mut(sample.worker) else { continue };
        worker.observed.losses = sample.losses;
        match worker.state {
            _ if worker.slot().is_none() => {}
            WorkerState::Ready { .. } => {
                let limits = conditions.settings.recycling;
                recycling::note_sample(worker, sample, limits, conditions.now, actions);
                Judgement { roster, sample, conditions, actions }.judge();
            }
            // Its end has a deadline, but a request may be over before that.
            WorkerState::Leaving {
                reason: LeaveReason::Retired | LeaveReason::Stopped, ..
            } => {
                Judgement { roster, sample, conditions, actions }.judge();
            }
            WorkerState::Booting { .. }
            | WorkerState::Leaving { .. }
            | WorkerState::Killed { .. } => {}
        }
    }
}

/// One sample, while it is judged.
struct Judgement<'a> {
    roster: &'a mut Roster,
    sample: &'a WorkerSample,
    conditions: Conditions<'a>,
    actions: &'a mut Actions,
}

impl Judgement<'_> {
    fn judge(mut self) {
        let Conditions { settings, suspends, now } = self.conditions;
        let sample = self.sample;
        let awake = |length| suspends.awake(length, now);
        let Some(worker) = self.roster.get_mut(sample.worker) else { return };
        let (lived, is_staying) = (worker.lived(now), worker.is_ready() && !worker.is_doomed());
        let observed = &mut worker.observed;
        observed.forget_finished(&sample.running);
        // A worker that is to leave anyway keeps the time for that: what holds the
        // interpreter's lock may release it, and then the rest is served.
        let finding = health::judge(sample, observed, settings.timeout, lived, &awake)
            .filter(|it| is_staying || !matches!(it, Finding::Hangs(Hang::Stuck(_))));
        let Some(finding) = finding else {
            observed.traced = None;
            return;
        };
        match observed.traced {
            // A stopped process cannot write its stacks.
            _ if sample.stopped => {}
            None => {
                observed.traced = Some(now);
                self.actions.push(Action::RequestStacks { worker: sample.worker });
                return;
            }
            Some(at) if sample.asked && awake(now.saturating_duration_since(at)) < STACKS_LIMIT => {
                return;
            }
            Some(_) => {}
        }
        observed.traced = None;
        self.act_on(finding);
    }

    fn act_on(&mut self, finding: Finding) {
        match finding {
            Finding::Slow(requests) => self.report_slow(&requests, "half of timeout"),
            Finding::Expired(requests) => {
                self.expire(&requests, "timeout; the client is answered 504");
            }
            Finding::Deserted(requests) => {
                let limit = "longer than timeout after the clients have left; no thread is free";
                self.expire(&requests, limit);
            }
            Finding::Left(requests) => {
                self.report_slow(&requests, "longer than timeout after the client has left");
            }
            Finding::Hangs(hang) => self.end_hung(&hang),
        }
    }

    /// Logs requests that have taken half of their time, or go on without a client.
    fn report_slow(&mut self, requests: &[RunningRequest], limit: &str) {
        let Some(worker) = self.roster.get_mut(self.sample.worker) else { return };
        worker.observed.slow.extend(requests.iter().map(|request| request.number));
        let text = format!("{worker} {}{}", list(requests, limit), stacks(self.sample));
        self.actions.log(Level::Warn, text);
    }

    /// Requests have taken all of their time, which `limit` names: the worker responds
    /// to their clients without the application, and is replaced.
    fn expire(&mut self, requests: &[RunningRequest], limit: &str) {
        let id: WorkerId = self.sample.worker;
        let Some(worker) = self.roster.get_mut(id) else { return };
        let mut verdict = limit.to_owned();
        if worker.is_live() {
            worker.disposition = Disposition::Doomed;
            verdict += " and the worker is replaced";
        }
        worker.observed.expired.extend(requests.iter().map(|request| request.number));
        let text = format!("{worker} {}{}", list(requests, &verdict), stacks(self.sample));
        self.actions.log_event(Level::Error, MessageId::WorkerTimedOut, text);
        for request in requests {
            self.actions.send(id, ToWorker::Expire { request: request.number });
        }
    }

    /// Ends a worker that hangs. If its event loop runs, it can respond with 503 first.
    fn end_hung(&mut self, hang: &Hang) {
        let Conditions { settings, now, .. } = self.conditions;
        let Some(worker) = self.roster.get(self.sample.worker) else { return };
        let (id, role, refuses) = (worker.id, worker.role, matches!(hang, Hang::Stuck(_)));
        let verdict =
            if refuses { "its clients are answered 503 and it is replaced" } else { "killing it" };
        let text = format!("{worker} {hang}; {verdict}{}", stacks(self.sample));
        self.actions.log_event(Level::Error, MessageId::WorkerTimedOut, text);
        let (reason, limit) = (LeaveReason::Hung, settings.graceful_timeout);
        if refuses {
            lifecycle::drain(self.roster, id, reason, limit, now, self.actions);
        } else {
            lifecycle::abort(self.roster, id, reason, now, self.actions);
        }
        self.roster.pause(role, now);
    }
}

impl Observations {
    /// Forgets requests that have ended.
    fn forget_finished(&mut self, running: &[RunningRequest]) {
        let runs = |number: &u64| running.iter().any(|request| request.number == *number);
        self.slow.retain(runs);
        self.expired.retain(runs);
    }
}

/// The requests in one line: `has been running GET /a for 15 s (0.1 s of processor time),
/// which is half of timeout`.
fn list(requests: &[RunningRequest], limit: &str) -> String {
    let mut text = "has been running ".to_owned();
    for (index, request) in requests.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        let RunningRequest { label, lasted, .. } = request;
        let lasted = lasted.as_secs_f64();
        // Writing to a String cannot fail.
        write!(text, "{comma}{label} for {lasted:.1} s").ok();
        if let Some(used) = request.used.map(|used: Duration| used.as_secs_f64()) {
            write!(text, " ({used:.1} s of processor time)").ok();
        }
    }
    write!(text, ", which is {limit}").ok();
    text
}

/// The stacks of the worker's threads, on lines of their own.
fn stacks(sample: &WorkerSample) -> String {
    let shown = sample.stacks.as_deref().map(str::trim_end).filter(|it| !it.is_empty());
    shown.map_or_else(String::new, |shown| format!("\n{shown}"))
}
