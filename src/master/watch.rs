//! What the master makes of what it sees of its workers: requests that take too
//! long, workers that hang, and those that have served long enough.

use std::fmt::Write;
use std::time::{Duration, Instant};

use log::Level;
use monoceros_wire::message::ToWorker;

use super::Master;
use super::health::{self, Concern, Hang};
use super::recycling::{self, Due};
use super::roster::{Fate, Life, Record, Why};
use super::state::{Action, Recycling, Run, Vital, WorkerId};

/// How long a worker may take to show where its threads are: on a busy machine
/// it may not come to run at once, and what is to become of it would not reach
/// it either. Only the time for which the master has run counts.
const TRACE_LIMIT: Duration = Duration::from_secs(3);

impl Master {
    pub(super) fn note_vitals(&mut self, vitals: &[Vital], now: Instant) {
        for vital in vitals {
            let Some(worker) = self.roster.get_mut(vital.worker) else { continue };
            worker.record.losses = vital.losses;
            match worker.life {
                _ if worker.slot().is_none() => {}
                Life::Ready { .. } => {
                    self.note_due(vital, now);
                    self.note_health(vital, now);
                }
                // Its end has a deadline, but a request may be over before that.
                Life::Leaving { why: Why::Retired | Why::Stopped, .. } => {
                    self.note_health(vital, now);
                }
                Life::Booting { .. } | Life::Leaving { .. } | Life::Killed { .. } => {}
            }
        }
        let running = vitals.iter().map(|vital| vital.running.len()).sum();
        self.tally.running = running;
        self.report_status();
    }

    /// Decides when a worker that has just got ready is to be replaced.
    pub(super) fn allot(&mut self, id: WorkerId, now: Instant) {
        let Recycling { requests, requests_jitter, lifetime, lifetime_jitter, .. } =
            self.terms().recycling;
        let more = self.random.up_to(requests_jitter.into());
        let longer = self.random.length(lifetime_jitter);
        let Some(worker) = self.roster.get_mut(id) else { return };
        worker.record.most_requests = (requests > 0).then(|| u64::from(requests) + more);
        worker.record.due_at = (!lifetime.is_zero()).then(|| now + lifetime + longer);
    }

    /// One worker at a time is replaced without need, and none while others are
    /// replaced anyhow.
    pub(super) fn choose_recycled(&mut self) {
        let busy = self.rolling.is_some()
            || self.roster.live().any(|worker| matches!(worker.fate, Fate::Going | Fate::Doomed));
        let due = self.roster.ready().find(|worker| worker.fate == Fate::Due);
        if let Some(id) = due.filter(|_| !busy).map(|worker| worker.id)
            && let Some(worker) = self.roster.get_mut(id)
        {
            worker.fate = Fate::Going;
        }
    }

    fn note_due(&mut self, vital: &Vital, now: Instant) {
        let limit = self.terms().recycling.memory;
        let Some(worker) = self.roster.get_mut(vital.worker) else { return };
        let record = &mut worker.record;
        record.requests = vital.requests;
        record.heavy = recycling::weigh(record.heavy, vital.memory, limit);
        if worker.fate != Fate::Stays {
            return;
        }
        if let Some(due) = recycling::judge(record, vital, now) {
            worker.fate = Fate::Due;
            let text = match due {
                Due::Requests => format!("{worker} is due: {} requests", vital.requests),
                Due::Lifetime => format!("{worker} is due: max-lifetime"),
                Due::Memory(bytes) => format!("{worker} is due: {} MiB of memory", bytes >> 20),
            };
            self.log(Level::Info, text);
        }
    }

    fn note_health(&mut self, vital: &Vital, now: Instant) {
        let timeout = self.terms().timeout;
        let awake = |length| self.pauses.awake(length, now);
        let Some(worker) = self.roster.get_mut(vital.worker) else { return };
        let (lived, is_staying) = (worker.lived(now), worker.is_ready() && !worker.is_doomed());
        let record = &mut worker.record;
        record.forget_finished(&vital.running);
        // One that is to go anyway keeps the time for that: what holds the lock
        // may let it go, and then the rest is served.
        let concern = health::judge(vital, record, timeout, lived, &awake)
            .filter(|it| is_staying || !matches!(it, Concern::Hangs(Hang::Stuck(_))));
        let Some(concern) = concern else {
            record.traced = None;
            return;
        };
        match record.traced {
            // A stopped process cannot show anything.
            _ if vital.stopped => {}
            None => {
                record.traced = Some(now);
                self.actions.push(Action::Trace { worker: vital.worker });
                return;
            }
            Some(at) if vital.asked && awake(now.saturating_duration_since(at)) < TRACE_LIMIT => {
                return;
            }
            Some(_) => {}
        }
        record.traced = None;
        match concern {
            Concern::Slow(runs) => self.tell_slow(vital, &runs, "half of timeout"),
            Concern::Expired(runs) => {
                self.expire(vital, &runs, "timeout; the client is answered 504")
            }
            Concern::Deserted(runs) => {
                let verdict = "longer than timeout after the clients have left; no thread is free";
                self.expire(vital, &runs, verdict);
            }
            Concern::Left(runs) => {
                self.tell_slow(vital, &runs, "longer than timeout after the client has left");
            }
            Concern::Hangs(hang) => self.give_up(vital, &hang, now),
        }
    }

    /// Requests have taken half of their time, or go on without a client.
    fn tell_slow(&mut self, vital: &Vital, runs: &[Run], limit: &str) {
        let Some(worker) = self.roster.get_mut(vital.worker) else { return };
        worker.record.slow.extend(runs.iter().map(|run| run.number));
        let text = format!("{worker} {}{}", list(runs, limit), stacks(vital));
        self.log(Level::Warn, text);
    }

    /// Requests have taken all that they may, which `limit` tells: their clients
    /// get an answer, and the worker is replaced.
    fn expire(&mut self, vital: &Vital, runs: &[Run], limit: &str) {
        let Some(worker) = self.roster.get_mut(vital.worker) else { return };
        let mut verdict = limit.to_owned();
        if worker.is_live() {
            worker.fate = Fate::Doomed;
            verdict += " and the worker is replaced";
        }
        worker.record.expired.extend(runs.iter().map(|run| run.number));
        let text = format!("{worker} {}{}", list(runs, &verdict), stacks(vital));
        self.log(Level::Error, text);
        for run in runs {
            let message = ToWorker::Expire { thread: run.thread, request: run.number };
            self.actions.push(Action::Tell { worker: vital.worker, message });
        }
    }

    /// A worker serves nobody any more. If its loop is well, that can say so to
    /// the clients.
    fn give_up(&mut self, vital: &Vital, hang: &Hang, now: Instant) {
        let Some(worker) = self.roster.get(vital.worker) else { return };
        let (id, place, refuses) = (worker.id, worker.place, matches!(hang, Hang::Stuck(_)));
        let verdict =
            if refuses { "its clients are answered 503 and it is replaced" } else { "killing it" };
        self.log(Level::Error, format!("{worker} {hang}; {verdict}{}", stacks(vital)));
        if refuses {
            self.release(id, Why::Hung, self.terms().graceful_timeout, now);
        } else {
            self.abort(id, Why::Hung, now);
        }
        self.roster.pause(place, now);
    }
}

impl Record {
    /// Only what still runs can take too long.
    fn forget_finished(&mut self, running: &[Run]) {
        let runs = |number: &u64| running.iter().any(|run| run.number == *number);
        self.slow.retain(runs);
        self.expired.retain(runs);
    }
}

/// The requests, in one line: `has been running GET /a for 15 s (0.1 s of
/// processor time), which is half of timeout`.
fn list(runs: &[Run], limit: &str) -> String {
    let mut text = "has been running ".to_owned();
    for (index, run) in runs.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        let Run { label, lasted, .. } = run;
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
fn stacks(vital: &Vital) -> String {
    let shown = vital.stacks.as_deref().map(str::trim_end).filter(|it| !it.is_empty());
    shown.map_or_else(String::new, |shown| format!("\n{shown}"))
}
