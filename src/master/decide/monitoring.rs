//! What the master makes of the samples that the scoreboards give: requests that take too
//! long, workers that hang, workers that are due to be recycled. Owns when the next
//! samples are taken. Called by `pool.rs` only.

use std::fmt::Write;
use std::time::{Duration, Instant};

use log::Level;
use monoceros_log::MessageId;
use monoceros_wire::message::ToWorker;
use monoceros_wire::stacks;

use crate::master::decide::action::{Action, Actions};
use crate::master::decide::id::WorkerId;
use crate::master::decide::roster::{Disposition, LeaveReason, Observations, Roster, WorkerState};
use crate::master::decide::rules::health::{self, Finding, Hang};
use crate::master::decide::sample::{RunningRequest, WorkerSample};
use crate::master::decide::settings::{MasterSettings, TimeLimits};
use crate::master::decide::slow_requests::SlowReports;
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
    slow_reports: SlowReports,
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
        self.slow_reports.shift(by);
    }

    /// Reads the scoreboards from now on.
    pub(crate) fn start(&mut self, limits: TimeLimits, now: Instant) {
        self.next.get_or_insert_with(|| now + health::interval(limits));
    }

    /// Reads no scoreboard any more.
    pub(crate) fn stop(&mut self, actions: &mut Actions) {
        self.next = None;
        self.slow_reports.end(actions);
    }

    /// Whether the scoreboards are to be read now; sets the next time if so.
    pub(crate) fn take_due(&mut self, limits: TimeLimits, now: Instant) -> bool {
        let due = self.next.is_some_and(|at| at <= now);
        if due {
            self.next = Some(now + health::interval(limits));
        }
        due
    }

    /// Judges all samples of one moment.
    pub(crate) fn judge(
        &mut self,
        roster: &mut Roster,
        samples: &[WorkerSample],
        conditions: Conditions,
        actions: &mut Actions,
    ) {
        self.slow_reports.look(conditions.now, actions);
        judge_samples(roster, samples, conditions, &mut self.slow_reports, actions);
        if roster.everyone().any(|worker| worker.observed.traced == Some(conditions.now)) {
            // The stacks should be of a request that still runs.
            let soon = conditions.now + health::SHORTEST_INTERVAL;
            self.next = self.next.map(|at| at.min(soon));
        }
    }
}

/// Judges all samples of one moment.
fn judge_samples(
    roster: &mut Roster,
    samples: &[WorkerSample],
    conditions: Conditions,
    slow_reports: &mut SlowReports,
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
                Judgement { roster, sample, conditions, slow_reports, actions }.judge();
            }
            // Its end has a deadline, but a request may be over before that.
            WorkerState::Leaving {
                reason: LeaveReason::Retired | LeaveReason::Stopped, ..
            } => {
                Judgement { roster, sample, conditions, slow_reports, actions }.judge();
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
    slow_reports: &'a mut SlowReports,
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
        let limits = settings.time_limits();
        let finding = health::judge(sample, observed, limits, lived, &awake)
            .filter(|it| is_staying || !matches!(it, Finding::Hangs(Hang::Stuck(_))));
        let Some(finding) = finding else {
            observed.traced = None;
            return;
        };
        if let Finding::Lasting(requests) = &finding
            && !self.slow_reports.admits()
        {
            observed.lasting.extend(requests.iter().map(|request| request.number));
            return self.slow_reports.note_omitted(requests.len());
        }
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
            Finding::Lasting(requests) => self.report_lasting(&requests),
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
        let text = format!("{worker} {}{}", list(requests, limit), stacks_of(self.sample));
        self.actions.log(Level::Warn, text);
    }

    /// Reports requests that run for longer than `slow-request`: one by one, each with the stack of
    /// its thread in front of the others.
    fn report_lasting(&mut self, requests: &[RunningRequest]) {
        let now = self.conditions.now;
        let Some(worker) = self.roster.get_mut(self.sample.worker) else { return };
        worker.observed.lasting.extend(requests.iter().map(|request| request.number));
        let queued = match self.sample.queued {
            0 => "no request waits behind it".to_owned(),
            1 => "1 request waits behind it".to_owned(),
            count => format!("{count} requests wait behind it"),
        };
        let shown = self.sample.stacks.as_deref().unwrap_or_default();
        for request in requests {
            if !self.slow_reports.admits() {
                self.slow_reports.note_omitted(1);
                continue;
            }
            self.slow_reports.note_written(now);
            let limit = "longer than slow-request";
            let client = match request.client.as_str() {
                "" => String::new(),
                client => format!("; client {client}"),
            };
            let stacks = stacks::with_first(shown, request.pthread);
            let text = format!(
                "{worker} {}{client}; {queued}\n{stacks}",
                list(std::slice::from_ref(request), limit)
            );
            let (id, trace) = (request.id.clone(), request.trace);
            self.actions.push(Action::LogSlow { id, trace, text: text.trim_end().to_owned() });
        }
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
        let text = format!("{worker} {}{}", list(requests, &verdict), stacks_of(self.sample));
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
        let text = format!("{worker} {hang}; {verdict}{}", stacks_of(self.sample));
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
        self.lasting.retain(runs);
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
fn stacks_of(sample: &WorkerSample) -> String {
    let shown = sample.stacks.as_deref().map(str::trim_end).filter(|it| !it.is_empty());
    shown.map_or_else(String::new, |shown| format!("\n{shown}"))
}
