//! Which workers are replaced although nothing is wrong with them: `max-requests`,
//! `max-lifetime`, `max-rss`. Owns the random part of each allotment. Called by `pool.rs`
//! and `monitoring.rs`.

use std::collections::BTreeSet;
use std::time::Instant;

use log::Level;
use monoceros_wire::Slot;

use crate::master::decide::action::Actions;
use crate::master::decide::id::WorkerId;
use crate::master::decide::roster::{Disposition, Observations, RecycleCause, Roster, WorkerEntry};
use crate::master::decide::rules::random::Random;
use crate::master::decide::sample::WorkerSample;
use crate::master::decide::settings::RecyclingLimits;

/// A worker has too much memory when this many samples in a row show it.
const SAMPLES_OVER_LIMIT: u8 = 3;

/// Draws the random part of allotments, so that workers that have started together are not
/// replaced together.
#[derive(Debug)]
pub(crate) struct Recycler {
    random: Random,
}

impl Recycler {
    /// Draws from this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random(seed) }
    }

    /// Allots requests and a lifetime to a worker that has just become ready.
    pub(crate) fn allot(
        &mut self,
        worker: &mut WorkerEntry,
        limits: RecyclingLimits,
        now: Instant,
    ) {
        let RecyclingLimits { requests, requests_jitter, lifetime, lifetime_jitter, .. } = limits;
        let more = self.random.up_to(requests_jitter.into());
        let longer = self.random.length(lifetime_jitter);
        let observed = &mut worker.observed;
        observed.most_requests = (requests > 0).then(|| u64::from(requests) + more);
        observed.due_at = (!lifetime.is_zero()).then(|| now + lifetime + longer);
    }
}

/// Replaces the next worker that is due: one at a time, and none while others are
/// replaced for another reason.
pub(crate) fn choose_next(roster: &mut Roster, is_reloading: bool) {
    let replaced = |worker: &WorkerEntry| {
        matches!(worker.disposition, Disposition::Going | Disposition::Doomed)
    };
    if is_reloading || roster.live().any(replaced) {
        return;
    }
    let due = roster.ready().find(|worker| worker.disposition == Disposition::Due);
    if let Some(id) = due.map(|worker| worker.id)
        && let Some(worker) = roster.get_mut(id)
    {
        worker.disposition = Disposition::Going;
    }
}

/// An operator asks for the replacement of the workers that serve, of all of them or of those
/// in one slot: they are due. Returns which these are.
pub(crate) fn mark_due(
    roster: &mut Roster,
    slot: Option<Slot>,
    actions: &mut Actions,
) -> BTreeSet<WorkerId> {
    let is_meant = |worker: &&WorkerEntry| slot.is_none() || worker.slot() == slot;
    let meant: BTreeSet<_> = roster.ready().filter(is_meant).map(|worker| worker.id).collect();
    for id in &meant {
        if let Some(worker) = roster.get_mut(*id)
            && worker.disposition == Disposition::Stays
        {
            worker.observed.due = Some(RecycleCause::Operator);
            worker.disposition = Disposition::Due;
            actions.log(Level::Info, format!("{worker} is due: an operator asks for it"));
        }
    }
    meant
}

/// A worker that serves asks for its own replacement, for this reason: it is due.
pub(crate) fn note_retirement(worker: &mut WorkerEntry, reason: &str, actions: &mut Actions) {
    if worker.is_ready() && worker.disposition == Disposition::Stays {
        worker.observed.due = Some(RecycleCause::Application);
        worker.disposition = Disposition::Due;
        actions.log(Level::Info, format!("{worker} is due: {reason}"));
    }
}

/// A worker sets after how many requests it is due; 0 is no limit.
pub(crate) fn note_allotment(worker: &mut WorkerEntry, requests: u32) {
    worker.observed.most_requests = (requests > 0).then(|| requests.into());
}

/// Notes a sample of a worker that serves, and whether it is due now.
pub(crate) fn note_sample(
    worker: &mut WorkerEntry,
    sample: &WorkerSample,
    limits: RecyclingLimits,
    now: Instant,
    actions: &mut Actions,
) {
    let observed = &mut worker.observed;
    observed.requests = sample.requests;
    observed.heavy = count_over_limit(observed.heavy, sample.memory, limits.memory);
    if worker.disposition != Disposition::Stays {
        return;
    }
    if let Some(due) = find_due(observed, sample, now) {
        observed.due = Some(due);
        worker.disposition = Disposition::Due;
        let memory = sample.memory.unwrap_or_default() >> 20;
        let text = match due {
            RecycleCause::Requests => format!("{worker} is due: {} requests", sample.requests),
            RecycleCause::Lifetime => format!("{worker} is due: max-lifetime"),
            RecycleCause::Memory => format!("{worker} is due: {memory} MiB of memory"),
            RecycleCause::Operator => format!("{worker} is due: an operator asks for it"),
            RecycleCause::Application => format!("{worker} is due: it asks for it"),
        };
        actions.log(Level::Info, text);
    }
}

/// How many samples in a row have shown more memory than the limit; 0 is no limit.
fn count_over_limit(before: u8, memory: Option<u64>, limit: u64) -> u8 {
    let is_over = limit > 0 && memory.is_some_and(|bytes| bytes > limit);
    if is_over { before.saturating_add(1) } else { 0 }
}

fn find_due(observed: &Observations, sample: &WorkerSample, now: Instant) -> Option<RecycleCause> {
    if observed.most_requests.is_some_and(|most| sample.requests >= most) {
        Some(RecycleCause::Requests)
    } else if observed.due_at.is_some_and(|at| at <= now) {
        Some(RecycleCause::Lifetime)
    } else if observed.heavy >= SAMPLES_OVER_LIMIT {
        Some(RecycleCause::Memory)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::decide::state::Purpose;

    #[test]
    fn a_worker_can_ask_for_its_replacement_and_set_its_requests() {
        let (now, mut actions) = (Instant::now(), Actions::new(Purpose::Serve));
        let mut roster = Roster::of_ready(1, now);
        let worker = roster.get_mut(WorkerId(0)).unwrap();
        note_allotment(worker, 7);
        assert_eq!(worker.observed.most_requests, Some(7));
        note_allotment(worker, 0);
        assert_eq!(worker.observed.most_requests, None);
        note_retirement(worker, "alive = False", &mut actions);
        let due = (worker.disposition, worker.observed.due);
        assert_eq!(due, (Disposition::Due, Some(RecycleCause::Application)));
        note_retirement(worker, "alive = False", &mut actions);
        assert_eq!(actions.take().len(), 1, "it is due once");
    }

    #[test]
    fn a_worker_is_due_for_one_of_three_reasons() {
        let now = Instant::now();
        let sample = WorkerSample { requests: 10, memory: Some(7), ..WorkerSample::default() };
        let due = |observed: &Observations| find_due(observed, &sample, now);
        assert_eq!(due(&Observations::default()), None);
        assert_eq!(due(&Observations { most_requests: Some(11), ..Observations::default() }), None);
        let requests = Observations { most_requests: Some(10), ..Observations::default() };
        assert_eq!(due(&requests), Some(RecycleCause::Requests));
        assert_eq!(
            due(&Observations { due_at: Some(now), ..Observations::default() }),
            Some(RecycleCause::Lifetime)
        );
        assert_eq!(due(&Observations { heavy: 2, ..Observations::default() }), None);
        assert_eq!(
            due(&Observations { heavy: 3, ..Observations::default() }),
            Some(RecycleCause::Memory)
        );
    }

    #[test]
    fn memory_must_be_too_much_several_times_in_a_row() {
        assert_eq!(count_over_limit(1, Some(101), 100), 2);
        assert_eq!(count_over_limit(2, Some(100), 100), 0);
        assert_eq!(count_over_limit(2, None, 100), 0);
        assert_eq!(count_over_limit(2, Some(u64::MAX), 0), 0);
        assert_eq!(count_over_limit(u8::MAX, Some(101), 100), u8::MAX);
    }

    #[test]
    fn one_worker_at_a_time_is_replaced() {
        use crate::master::decide::roster::{Role, WorkerState};
        use monoceros_wire::{Generation, Slot};
        let (mut roster, now) = (Roster::default(), Instant::now());
        for slot in [0, 1] {
            let ready = WorkerState::Ready { since: now };
            let id = roster.add(Role::Worker(Slot(slot)), Generation(1), ready);
            roster.get_mut(id).unwrap().disposition = Disposition::Due;
        }
        let going = |roster: &Roster| {
            roster.workers().filter(|it| it.disposition == Disposition::Going).count()
        };
        choose_next(&mut roster, true);
        assert_eq!(going(&roster), 0, "a reload replaces them anyway");
        choose_next(&mut roster, false);
        choose_next(&mut roster, false);
        assert_eq!(going(&roster), 1);
    }

    #[test]
    fn the_workers_that_an_operator_means_are_due() {
        use crate::master::decide::roster::{Role, WorkerState};
        use crate::master::decide::state::Purpose;
        use monoceros_wire::Generation;
        let (mut roster, now) = (Roster::default(), Instant::now());
        let mut actions = Actions::new(Purpose::Serve);
        let ready = WorkerState::Ready { since: now };
        let boots = WorkerState::Booting { until: None, ready_at: None };
        let mut add = |slot, state| roster.add(Role::Worker(Slot(slot)), Generation(1), state);
        let (one, two, _) = (add(0, ready), add(1, ready), add(2, boots));
        assert_eq!(mark_due(&mut roster, Some(Slot(1)), &mut actions), [two].into());
        assert_eq!(mark_due(&mut roster, None, &mut actions), [one, two].into());
        assert_eq!(mark_due(&mut roster, Some(Slot(2)), &mut actions), BTreeSet::new());
        assert_eq!(actions.take().len(), 2, "each is logged once");
    }

    #[test]
    fn an_allotment_has_its_random_part() {
        use crate::master::decide::roster::{Role, WorkerState};
        use monoceros_wire::{Generation, Slot};
        use std::time::Duration;
        let (mut roster, now) = (Roster::default(), Instant::now());
        let ready = WorkerState::Ready { since: now };
        let id = roster.add(Role::Worker(Slot(0)), Generation(1), ready);
        let worker = roster.get_mut(id).unwrap();
        let second = Duration::from_secs(1);
        let limits = RecyclingLimits {
            requests: 10,
            requests_jitter: 5,
            lifetime: 60 * second,
            lifetime_jitter: 9 * second,
            memory: 0,
        };
        let mut recycler = Recycler::new(7);
        for _ in 0..50 {
            recycler.allot(worker, limits, now);
            assert!((10..=15).contains(&worker.observed.most_requests.unwrap()));
            let due = worker.observed.due_at.unwrap() - now;
            assert!((60 * second..=69 * second).contains(&due));
        }
        recycler.allot(worker, RecyclingLimits::default(), now);
        assert_eq!((worker.observed.most_requests, worker.observed.due_at), (None, None));
    }
}
