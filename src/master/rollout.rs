//! The one planner: which workers to spawn and which to retire next, so that
//! those that exist become those that are asked for. Boot, reload, crash and a
//! changed number of workers are all this. Pure, and without memory: it is
//! asked again after every event.

use std::cmp::Reverse;
use std::time::Instant;

use monoceros_wire::{Generation, Slot};

use super::roster::{Roster, Worker};
use super::state::{Limits, WorkerId};

/// What is asked for: this many workers of this generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Whose settings and code.
    pub(crate) generation: Generation,
    /// How many.
    pub(crate) workers: u16,
}

/// What to do now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Slots to spawn a worker of the target's generation into.
    pub(crate) spawn: Vec<Slot>,
    /// Workers to retire.
    pub(crate) retire: Vec<WorkerId>,
    /// When a slot that waits may be tried; the plan is the same until then.
    pub(crate) wake: Option<Instant>,
}

impl Target {
    /// This worker is one of those asked for.
    fn wants(&self, worker: &Worker) -> bool {
        worker.generation == self.generation && worker.slot.0 < self.workers
    }

    /// Everything asked for is ready, and nothing else lives.
    pub(crate) fn is_reached(&self, roster: &Roster) -> bool {
        let ready = roster.ready().filter(|worker| self.wants(worker)).count();
        ready == usize::from(self.workers) && roster.live().count() == ready
    }
}

/// Makes the plan for this moment.
pub(crate) fn plan(roster: &Roster, target: Target, limits: Limits, now: Instant) -> Plan {
    let retire = choose_retired(roster, target, limits);
    let live = roster.live().count() - retire.len();
    // Without any room in either direction no rollout could begin.
    let surge = limits.max_surge.max(u16::from(limits.max_unavailable == 0));
    let room = (usize::from(target.workers) + usize::from(surge)).saturating_sub(live);
    let (spawn, wake) = choose_spawned(roster, target, room, now);
    Plan { spawn, retire, wake }
}

/// Those not asked for: at once if they serve nobody yet, else as long as
/// enough others are ready.
fn choose_retired(roster: &Roster, target: Target, limits: Limits) -> Vec<WorkerId> {
    let (serving, mut retire): (Vec<_>, Vec<_>) =
        roster.live().filter(|worker| !target.wants(worker)).partition(|worker| worker.is_ready());
    let least = target.workers.saturating_sub(limits.max_unavailable);
    let spare = roster.ready().count().saturating_sub(usize::from(least));
    let mut serving = serving;
    serving.sort_by_key(|worker| Reverse(is_replaced(worker, roster, target)));
    retire.extend(serving.into_iter().take(spare));
    retire.into_iter().map(|worker| worker.id).collect()
}

/// Nothing waits for this worker: its successor serves, or its slot is gone.
fn is_replaced(worker: &Worker, roster: &Roster, target: Target) -> bool {
    let mut ready = roster.ready();
    worker.slot.0 >= target.workers
        || ready.any(|other| other.slot == worker.slot && target.wants(other))
}

/// Slots without a worker of the target, empty ones first.
fn choose_spawned(
    roster: &Roster,
    target: Target,
    room: usize,
    now: Instant,
) -> (Vec<Slot>, Option<Instant>) {
    let holds = |slot, wanted: bool| {
        roster.live().any(|worker| worker.slot == slot && (!wanted || target.wants(worker)))
    };
    let lacking: Vec<_> =
        (0..target.workers).map(Slot).filter(|slot| !holds(*slot, true)).collect();
    let wake = lacking.iter().filter_map(|slot| roster.wait(*slot, now)).min();
    let mut spawn: Vec<_> =
        lacking.into_iter().filter(|slot| roster.wait(*slot, now).is_none()).collect();
    spawn.sort_by_key(|slot| holds(*slot, false));
    spawn.truncate(room);
    (spawn, wake)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::roster::Life;

    const ONE: Generation = Generation(1);
    const TWO: Generation = Generation(2);

    struct Bench {
        roster: Roster,
        limits: Limits,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            Self { roster: Roster::default(), limits: Limits::default(), now: Instant::now() }
        }

        fn boot(&mut self, slot: u16, generation: Generation) -> WorkerId {
            self.roster.add(Slot(slot), generation, None)
        }

        fn ready(&mut self, slot: u16, generation: Generation) -> WorkerId {
            let id = self.boot(slot, generation);
            self.roster.get_mut(id).unwrap().life = Life::Ready { since: self.now };
            id
        }

        fn plan(&self, generation: Generation, workers: u16) -> (Vec<u16>, Vec<WorkerId>) {
            let target = Target { generation, workers };
            let plan = plan(&self.roster, target, self.limits, self.now);
            (plan.spawn.iter().map(|slot| slot.0).collect(), plan.retire)
        }
    }

    #[test]
    fn all_are_spawned_at_first() {
        assert_eq!(Bench::new().plan(ONE, 3), (vec![0, 1, 2], vec![]));
    }

    #[test]
    fn a_reload_goes_one_by_one_and_the_new_one_first() {
        let mut bench = Bench::new();
        let old = [bench.ready(0, ONE), bench.ready(1, ONE)];
        assert_eq!(bench.plan(TWO, 2), (vec![0], vec![]));
        let new = bench.boot(0, TWO);
        assert_eq!(bench.plan(TWO, 2), (vec![], vec![]));
        bench.roster.get_mut(new).unwrap().life = Life::Ready { since: bench.now };
        assert_eq!(bench.plan(TWO, 2), (vec![1], vec![old[0]]));
    }

    #[test]
    fn what_is_not_ready_and_not_wanted_goes_at_once() {
        let mut bench = Bench::new();
        bench.ready(0, ONE);
        let superseded = bench.boot(0, TWO);
        assert_eq!(bench.plan(Generation(3), 1), (vec![0], vec![superseded]));
    }

    #[test]
    fn an_empty_slot_comes_first() {
        let mut bench = Bench::new();
        bench.ready(0, ONE);
        assert_eq!(bench.plan(TWO, 2), (vec![1, 0], vec![]));
    }

    #[test]
    fn fewer_workers_retire_the_last_slots() {
        let mut bench = Bench::new();
        bench.ready(0, ONE);
        let last = bench.ready(1, ONE);
        assert_eq!(bench.plan(ONE, 1), (vec![], vec![last]));
        assert_eq!(bench.plan(ONE, 3), (vec![2], vec![]));
    }

    #[test]
    fn without_surge_an_old_one_goes_first_if_that_is_allowed() {
        let mut bench = Bench::new();
        bench.limits = Limits { max_surge: 0, max_unavailable: 1 };
        let old = [bench.ready(0, ONE), bench.ready(1, ONE)];
        assert_eq!(bench.plan(TWO, 2), (vec![0], vec![old[0]]));
        bench.limits = Limits { max_surge: 0, max_unavailable: 0 };
        assert_eq!(bench.plan(TWO, 2), (vec![0], vec![]));
    }

    #[test]
    fn a_slot_that_waits_is_left_out_until_then() {
        let mut bench = Bench::new();
        let now = bench.now;
        bench.roster.backoff(Slot(0)).pause(now);
        let target = Target { generation: ONE, workers: 2 };
        let plan = plan(&bench.roster, target, bench.limits, now);
        assert_eq!(plan.spawn, [Slot(1)]);
        assert_eq!(plan.wake, bench.roster.wait(Slot(0), now));
    }

    #[test]
    fn a_target_is_reached_when_nothing_else_lives() {
        let mut bench = Bench::new();
        bench.ready(0, TWO);
        let target = Target { generation: TWO, workers: 1 };
        assert!(target.is_reached(&bench.roster));
        let old = bench.ready(0, ONE);
        assert!(!target.is_reached(&bench.roster));
        bench.roster.remove(old);
        bench.boot(1, TWO);
        assert!(!target.is_reached(&bench.roster));
    }
}
