//! What the master makes of what it sees of its workers: requests that take too
//! long, workers that hang, and those that have served long enough.

use std::fmt::Write;
use std::time::{Duration, Instant};

use log::Level;
use monoceros_wire::message::ToWorker;

use crate::master::decide::Master;
use crate::master::decide::action::Action;
use crate::master::decide::id::WorkerId;
use crate::master::decide::roster::{Disposition, LeaveReason, Observations, WorkerState};
use crate::master::decide::rules::health::{Finding, Hang};
use crate::master::decide::rules::recycling::Due;
use crate::master::decide::rules::{health, recycling};
use crate::master::decide::sample::{RunningRequest, WorkerSample};
use crate::master::decide::settings::Recycling;

/// How long a worker may take to show where its threads are: on a busy machine
/// it may not come to run at once, and what is to become of it would not reach
/// it either. Only the time for which the master has run counts.
const TRACE_LIMIT: Duration = Duration::from_secs(3);

impl Master {
    pub(super) fn note_samples(&mut self, samples: &[WorkerSample], now: Instant) {
        for sample in samples {
            let Some(worker) = self.roster.get_mut(sample.worker) else { continue };
            worker.observed.losses = sample.losses;
            match worker.state {
                _ if worker.slot().is_none() => {}
                WorkerState::Ready { .. } => {
                    self.note_due(sample, now);
                    self.note_health(sample, now);
                }
                // Its end has a deadline, but a request may be over before that.
                WorkerState::Leaving {
                    reason: LeaveReason::Retired | LeaveReason::Stopped,
                    ..
                } => {
                    self.note_health(sample, now);
                }
                WorkerState::Booting { .. }
                | WorkerState::Leaving { .. }
                | WorkerState::Killed { .. } => {}
            }
        }
        let running = samples.iter().map(|sample| sample.running.len()).sum();
        self.totals.running = running;
        self.report_status();
    }

    /// Decides when a worker that has just got ready is to be replaced.
    pub(super) fn allot(&mut self, id: WorkerId, now: Instant) {
        let Recycling { requests, requests_jitter, lifetime, lifetime_jitter, .. } =
            self.settings().recycling;
        let more = self.random.up_to(requests_jitter.into());
        let longer = self.random.length(lifetime_jitter);
        let Some(worker) = self.roster.get_mut(id) else { return };
        worker.observed.most_requests = (requests > 0).then(|| u64::from(requests) + more);
        worker.observed.due_at = (!lifetime.is_zero()).then(|| now + lifetime + longer);
    }

    /// One worker at a time is replaced without need, and none while others are
    /// replaced anyhow.
    pub(super) fn choose_recycled(&mut self) {
        let busy = self.rollout.is_some()
            || self.roster.live().any(|worker| {
                matches!(worker.disposition, Disposition::Going | Disposition::Doomed)
            });
        let due = self.roster.ready().find(|worker| worker.disposition == Disposition::Due);
        if let Some(id) = due.filter(|_| !busy).map(|worker| worker.id)
            && let Some(worker) = self.roster.get_mut(id)
        {
            worker.disposition = Disposition::Going;
        }
    }

    fn note_due(&mut self, sample: &WorkerSample, now: Instant) {
        let limit = self.settings().recycling.memory;
        let Some(worker) = self.roster.get_mut(sample.worker) else { return };
        let observed = &mut worker.observed;
        observed.requests = sample.requests;
        observed.heavy = recycling::weigh(observed.heavy, sample.memory, limit);
        if worker.disposition != Disposition::Stays {
            return;
        }
        if let Some(due) = recycling::judge(observed, sample, now) {
            worker.disposition = Disposition::Due;
            let text = match due {
                Due::Requests => format!("{worker} is due: {} requests", sample.requests),
                Due::Lifetime => format!("{worker} is due: max-lifetime"),
                Due::Memory(bytes) => format!("{worker} is due: {} MiB of memory", bytes >> 20),
            };
            self.log(Level::Info, text);
        }
    }

    fn note_health(&mut self, sample: &WorkerSample, now: Instant) {
        let timeout = self.settings().timeout;
        let awake = |length| self.suspends.awake(length, now);
        let Some(worker) = self.roster.get_mut(sample.worker) else { return };
        let (lived, is_staying) = (worker.lived(now), worker.is_ready() && !worker.is_doomed());
        let observed = &mut worker.observed;
        observed.forget_finished(&sample.running);
        // One that is to go anyway keeps the time for that: what holds the lock
        // may let it go, and then the rest is served.
        let concern = health::judge(sample, observed, timeout, lived, &awake)
            .filter(|it| is_staying || !matches!(it, Finding::Hangs(Hang::Stuck(_))));
        let Some(concern) = concern else {
            observed.traced = None;
            return;
        };
        match observed.traced {
            // A stopped process cannot show anything.
            _ if sample.stopped => {}
            None => {
                observed.traced = Some(now);
                self.actions.push(Action::Trace { worker: sample.worker });
                return;
            }
            Some(at) if sample.asked && awake(now.saturating_duration_since(at)) < TRACE_LIMIT => {
                return;
            }
            Some(_) => {}
        }
        observed.traced = None;
        match concern {
            Finding::Slow(requests) => self.tell_slow(sample, &requests, "half of timeout"),
            Finding::Expired(requests) => {
                self.expire(sample, &requests, "timeout; the client is answered 504")
            }
            Finding::Deserted(requests) => {
                let verdict = "longer than timeout after the clients have left; no thread is free";
                self.expire(sample, &requests, verdict);
            }
            Finding::Left(requests) => {
                self.tell_slow(sample, &requests, "longer than timeout after the client has left");
            }
            Finding::Hangs(hang) => self.give_up(sample, &hang, now),
        }
    }

    /// Requests have taken half of their time, or go on without a client.
    fn tell_slow(&mut self, sample: &WorkerSample, requests: &[RunningRequest], limit: &str) {
        let Some(worker) = self.roster.get_mut(sample.worker) else { return };
        worker.observed.slow.extend(requests.iter().map(|run| run.number));
        let text = format!("{worker} {}{}", list(requests, limit), stacks(sample));
        self.log(Level::Warn, text);
    }

    /// Requests have taken all that they may, which `limit` tells: their clients
    /// get an answer, and the worker is replaced.
    fn expire(&mut self, sample: &WorkerSample, requests: &[RunningRequest], limit: &str) {
        let Some(worker) = self.roster.get_mut(sample.worker) else { return };
        let mut verdict = limit.to_owned();
        if worker.is_live() {
            worker.disposition = Disposition::Doomed;
            verdict += " and the worker is replaced";
        }
        worker.observed.expired.extend(requests.iter().map(|run| run.number));
        let text = format!("{worker} {}{}", list(requests, &verdict), stacks(sample));
        self.log(Level::Error, text);
        for run in requests {
            let message = ToWorker::Expire { thread: run.thread, request: run.number };
            self.actions.push(Action::Tell { worker: sample.worker, message });
        }
    }

    /// A worker serves nobody any more. If its loop is well, that can say so to
    /// the clients.
    fn give_up(&mut self, sample: &WorkerSample, hang: &Hang, now: Instant) {
        let Some(worker) = self.roster.get(sample.worker) else { return };
        let (id, role, refuses) = (worker.id, worker.role, matches!(hang, Hang::Stuck(_)));
        let verdict =
            if refuses { "its clients are answered 503 and it is replaced" } else { "killing it" };
        self.log(Level::Error, format!("{worker} {hang}; {verdict}{}", stacks(sample)));
        if refuses {
            self.release(id, LeaveReason::Hung, self.settings().graceful_timeout, now);
        } else {
            self.abort(id, LeaveReason::Hung, now);
        }
        self.roster.pause(role, now);
    }
}

impl Observations {
    /// Only what still runs can take too long.
    fn forget_finished(&mut self, running: &[RunningRequest]) {
        let requests = |number: &u64| running.iter().any(|run| run.number == *number);
        self.slow.retain(requests);
        self.expired.retain(requests);
    }
}

/// The requests, in one line: `has been running GET /a for 15 s (0.1 s of
/// processor time), which is half of timeout`.
fn list(requests: &[RunningRequest], limit: &str) -> String {
    let mut text = "has been running ".to_owned();
    for (index, run) in requests.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        let RunningRequest { label, lasted, .. } = run;
        let lasted = lasted.as_secs_f64();
        // Writing to a String cannot fail.
        write!(text, "{comma}{label} for {lasted:.1} s").ok();
        if let Some(used) = run.used.map(|used: Duration| used.as_secs_f64()) {
            write!(text, " ({used:.1} s of processor time)").ok();
        }
    }
    write!(text, ", which is {limit}").ok();
    text
}

/// Where the worker's threads are, on lines of their own.
fn stacks(sample: &WorkerSample) -> String {
    let shared = sample.stacks.as_deref().map(str::trim_end).filter(|it| !it.is_empty());
    shared.map_or_else(String::new, |shared| format!("\n{shared}"))
}
