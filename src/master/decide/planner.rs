//! The planner: which workers to spawn and which to retire next, so that the workers that
//! exist become those of the target. Boot, reload, crash, recycling and a changed number of
//! workers all use it. Pure and without memory: a new plan is made after every event.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use monoceros_wire::{Generation, Slot};

use crate::master::decide::id::WorkerId;
use crate::master::decide::roster::{Disposition, Role, Roster, WorkerEntry, WorkerState};
use crate::master::decide::settings::RolloutLimits;

/// The target: this many workers of this generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlanTarget {
    /// The generation whose settings and code they run.
    pub(crate) generation: Generation,
    /// Their number.
    pub(crate) workers: u16,
    /// Time for which a worker must have been ready to count as available.
    pub(crate) min_ready: Duration,
    /// The generation that replaces workers that end meanwhile.
    pub(crate) fallback: Option<Fallback>,
}

/// A generation whose code has served, while that of the target has not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fallback {
    /// Its number.
    pub(crate) generation: Generation,
    /// Number of its workers before.
    pub(crate) workers: u16,
}

/// What to do at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Slots to spawn a worker into, and of which generation.
    pub(crate) spawn: Vec<(Slot, Generation)>,
    /// Workers to retire.
    pub(crate) retire: Vec<WorkerId>,
    /// When the plan changes although nothing happens.
    pub(crate) wake: Option<Instant>,
}

impl PlanTarget {
    /// This worker belongs to the target.
    pub(crate) fn wants(&self, worker: &WorkerEntry) -> bool {
        let stays = matches!(worker.disposition, Disposition::Stays | Disposition::Due);
        let has_slot = worker.slot().is_some_and(|slot| slot.0 < self.workers);
        stays && has_slot && worker.generation == self.generation
    }

    /// This worker belongs to the target and is available.
    fn has(&self, worker: &WorkerEntry, now: Instant) -> bool {
        self.wants(worker) && worker.is_available(self.min_ready, now)
    }

    /// The number of available workers of the target.
    pub(crate) fn count(&self, roster: &Roster, now: Instant) -> usize {
        roster.ready().filter(|worker| self.has(worker, now)).count()
    }

    /// All workers of the target are available, and no other worker lives.
    pub(crate) fn is_reached(&self, roster: &Roster, now: Instant) -> bool {
        let count = self.count(roster, now);
        count == usize::from(self.workers) && roster.live().count() == count
    }
}

/// Makes the plan for this moment.
pub(crate) fn plan(
    roster: &Roster,
    target: PlanTarget,
    limits: RolloutLimits,
    now: Instant,
) -> Plan {
    let view = View { roster, target, limits, now };
    let retire = view.choose_retired();
    let present = if limits.surge() == 0 {
        // A worker that leaves may hold what its successor needs alone, such as a port.
        roster.workers().count()
    } else {
        roster.live().count() - retire.len()
    };
    let most = usize::from(target.workers) + usize::from(limits.surge());
    let (spawn, waits) = view.choose_spawned(most.saturating_sub(present));
    let wake = [waits, view.next_available()].into_iter().flatten().min();
    Plan { spawn, retire, wake }
}

/// The facts that a plan is made from.
#[derive(Clone, Copy)]
struct View<'a> {
    roster: &'a Roster,
    target: PlanTarget,
    limits: RolloutLimits,
    now: Instant,
}

impl View<'_> {
    /// Workers that do not belong to the target: those that serve no client at once,
    /// the others as long as enough workers serve.
    fn choose_retired(&self) -> Vec<WorkerId> {
        let unwanted = self.roster.live().filter(|worker| !self.target.wants(worker));
        let (serving, idle): (Vec<_>, Vec<_>) =
            unwanted.partition(|worker| worker.is_ready() && !worker.is_doomed());
        let mut retire: Vec<_> =
            idle.into_iter().filter(|worker| self.may_go(worker)).map(|worker| worker.id).collect();
        let mut serving = serving;
        serving.sort_by_key(|worker| Reverse(self.is_replaced(worker)));
        retire.extend(serving.into_iter().take(self.count_spare()).map(|worker| worker.id));
        retire
    }

    /// Whether a worker that does not belong to the target, and boots or hangs, may be
    /// retired now. A hung worker may have other requests to finish, so its replacement
    /// comes first.
    fn may_go(&self, worker: &WorkerEntry) -> bool {
        if worker.is_ready() {
            return self.is_replaced(worker) || self.is_jammed();
        }
        let fallback = self.target.fallback;
        let is_fallback = fallback.is_some_and(|it| it.generation == worker.generation);
        !is_fallback || self.is_replaced(worker) || self.count_missing(Some(worker.id)) == 0
    }

    /// The pool is at `max_surge` and no worker is booting, so a replacement can only start
    /// if a hung worker is retired first.
    fn is_jammed(&self) -> bool {
        let most = usize::from(self.target.workers) + usize::from(self.limits.surge());
        let boots = |worker: &WorkerEntry| self.target.wants(worker) && !worker.is_ready();
        self.roster.live().count() >= most && !self.roster.live().any(boots)
    }

    /// The number of workers that serve beyond those that have to. A worker of an older
    /// generation counts although it may not have been ready for `min_ready`.
    fn count_spare(&self) -> usize {
        let serves = |worker: &&WorkerEntry| {
            let old = !self.target.wants(worker) && !worker.is_doomed();
            old || self.target.has(worker, self.now)
        };
        let serving = self.roster.ready().filter(serves).count();
        serving.saturating_sub(usize::from(self.least()))
    }

    /// The number of workers that have to serve at any time.
    fn least(&self) -> u16 {
        self.target.workers.saturating_sub(self.limits.max_unavailable)
    }

    /// A worker of the target is available in the slot of this worker, or the slot is gone.
    fn is_replaced(&self, worker: &WorkerEntry) -> bool {
        let mut ready = self.roster.ready();
        worker.slot().is_none_or(|slot| slot.0 >= self.target.workers)
            || ready.any(|other| other.role == worker.role && self.target.has(other, self.now))
    }

    /// Slots to spawn into: those of the fallback first, then empty ones.
    fn choose_spawned(&self, room: usize) -> (Vec<(Slot, Generation)>, Option<Instant>) {
        let slots = || (0..self.target.workers).map(Slot);
        let saved = slots().filter(|slot| self.is_lost(*slot)).take(self.count_missing(None));
        let saved = saved.filter_map(|slot| Some((slot, self.target.fallback?.generation)));
        let mut lacking: Vec<_> = slots().filter(|slot| !self.holds_wanted(*slot)).collect();
        lacking.sort_by_key(|slot| self.roster.live().any(|it| it.slot() == Some(*slot)));
        let lacking = lacking.into_iter().map(|slot| (slot, self.target.generation));
        let chosen: Vec<_> = saved.chain(lacking).collect();
        let wait = |slot: Slot| self.roster.wait(Role::Worker(slot), self.now);
        let waits = chosen.iter().filter_map(|(slot, _)| wait(*slot)).min();
        let free = chosen.into_iter().filter(|(slot, _)| wait(*slot).is_none());
        (free.take(room).collect(), waits)
    }

    fn holds_wanted(&self, slot: Slot) -> bool {
        self.roster.live().any(|it| it.slot() == Some(slot) && self.target.wants(it))
    }

    /// No worker serves in this slot, and none of the fallback boots in it.
    fn is_lost(&self, slot: Slot) -> bool {
        !self.roster.live().any(|it| it.slot() == Some(slot) && self.makes_up(it))
    }

    /// This worker serves, of whatever generation, or it boots and belongs to the fallback,
    /// whose code has served.
    fn makes_up(&self, worker: &WorkerEntry) -> bool {
        let fallback = self.target.fallback;
        let known = fallback.is_some_and(|it| it.generation == worker.generation);
        let old = !self.target.wants(worker) && !worker.is_doomed();
        self.target.has(worker, self.now) || old && (known || worker.is_ready())
    }

    /// The number of workers of the fallback that are missing, or would be without this
    /// one.
    fn count_missing(&self, without: Option<WorkerId>) -> usize {
        let Some(fallback) = self.target.fallback else { return 0 };
        let counts = |worker: &&WorkerEntry| Some(worker.id) != without && self.makes_up(worker);
        let wanted = self.least().min(fallback.workers);
        usize::from(wanted).saturating_sub(self.roster.live().filter(counts).count())
    }

    /// When the next worker becomes available.
    fn next_available(&self) -> Option<Instant> {
        let ready = self.roster.ready().filter(|worker| self.target.wants(worker));
        let times = ready.filter_map(|worker| match worker.state {
            WorkerState::Ready { since } => Some(since + self.target.min_ready),
            WorkerState::Booting { .. }
            | WorkerState::Leaving { .. }
            | WorkerState::Killed { .. } => None,
        });
        times.filter(|at| *at > self.now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::decide::roster::LeaveReason;

    const ONE: Generation = Generation(1);
    const TWO: Generation = Generation(2);

    struct PlanBench {
        roster: Roster,
        limits: RolloutLimits,
        now: Instant,
    }

    impl PlanBench {
        fn new() -> Self {
            Self {
                roster: Roster::default(),
                limits: RolloutLimits::default(),
                now: Instant::now(),
            }
        }

        fn boot(&mut self, slot: u16, generation: Generation) -> WorkerId {
            let state = WorkerState::Booting { until: None, ready_at: None };
            self.roster.add(Role::Worker(Slot(slot)), generation, state)
        }

        fn leave(&mut self, id: WorkerId) {
            let state = WorkerState::Leaving { until: self.now, reason: LeaveReason::Retired };
            self.roster.get_mut(id).unwrap().state = state;
        }

        fn doom(&mut self, id: WorkerId, disposition: Disposition) {
            self.roster.get_mut(id).unwrap().disposition = disposition;
        }

        fn ready(&mut self, slot: u16, generation: Generation) -> WorkerId {
            let id = self.boot(slot, generation);
            self.roster.get_mut(id).unwrap().state = WorkerState::Ready { since: self.now };
            id
        }

        fn plan(&self, generation: Generation, workers: u16) -> (Vec<u16>, Vec<WorkerId>) {
            let plan = plan(&self.roster, target(generation, workers), self.limits, self.now);
            assert!(plan.spawn.iter().all(|(_, it)| *it == generation));
            (plan.spawn.iter().map(|(slot, _)| slot.0).collect(), plan.retire)
        }
    }

    fn target(generation: Generation, workers: u16) -> PlanTarget {
        PlanTarget { generation, workers, min_ready: Duration::ZERO, fallback: None }
    }

    #[test]
    fn all_are_spawned_at_first() {
        assert_eq!(PlanBench::new().plan(ONE, 3), (vec![0, 1, 2], vec![]));
    }

    #[test]
    fn a_reload_goes_one_by_one_and_the_new_one_first() {
        let mut bench = PlanBench::new();
        let old = [bench.ready(0, ONE), bench.ready(1, ONE)];
        assert_eq!(bench.plan(TWO, 2), (vec![0], vec![]));
        let new = bench.boot(0, TWO);
        assert_eq!(bench.plan(TWO, 2), (vec![], vec![]));
        bench.roster.get_mut(new).unwrap().state = WorkerState::Ready { since: bench.now };
        assert_eq!(bench.plan(TWO, 2), (vec![1], vec![old[0]]));
    }

    #[test]
    fn what_is_not_ready_and_not_wanted_goes_at_once() {
        let mut bench = PlanBench::new();
        bench.ready(0, ONE);
        let superseded = bench.boot(0, TWO);
        assert_eq!(bench.plan(Generation(3), 1), (vec![0], vec![superseded]));
    }

    #[test]
    fn an_empty_slot_comes_first() {
        let mut bench = PlanBench::new();
        bench.ready(0, ONE);
        assert_eq!(bench.plan(TWO, 2), (vec![1, 0], vec![]));
    }

    #[test]
    fn fewer_workers_retire_the_last_slots() {
        let mut bench = PlanBench::new();
        bench.ready(0, ONE);
        let last = bench.ready(1, ONE);
        assert_eq!(bench.plan(ONE, 1), (vec![], vec![last]));
        assert_eq!(bench.plan(ONE, 3), (vec![2], vec![]));
    }

    #[test]
    fn without_surge_an_old_one_goes_first_if_that_is_allowed() {
        let mut bench = PlanBench::new();
        let old = [bench.ready(0, ONE), bench.ready(1, ONE)];
        bench.limits = RolloutLimits { max_surge: 0, max_unavailable: 0 };
        assert_eq!(bench.plan(TWO, 2), (vec![0], vec![]));
        bench.limits = RolloutLimits { max_surge: 0, max_unavailable: 1 };
        assert_eq!(bench.plan(TWO, 2), (vec![], vec![old[0]]));
        bench.leave(old[0]);
        assert_eq!(bench.plan(TWO, 2), (vec![], vec![]), "it has not ended");
        bench.roster.remove(old[0]);
        assert_eq!(bench.plan(TWO, 2), (vec![0], vec![]));
    }

    #[test]
    fn a_slot_that_waits_is_left_out_until_then() {
        let mut bench = PlanBench::new();
        let now = bench.now;
        bench.roster.pause(Role::Worker(Slot(0)), now);
        let plan = plan(&bench.roster, target(ONE, 2), bench.limits, now);
        assert_eq!(plan.spawn, [(Slot(1), ONE)]);
        assert_eq!(plan.wake, bench.roster.wait(Role::Worker(Slot(0)), now));
    }

    #[test]
    fn a_target_is_reached_when_nothing_else_lives() {
        let mut bench = PlanBench::new();
        bench.ready(0, TWO);
        let target = target(TWO, 1);
        assert!(target.is_reached(&bench.roster, bench.now));
        let old = bench.ready(0, ONE);
        assert!(!target.is_reached(&bench.roster, bench.now));
        bench.roster.remove(old);
        bench.boot(1, TWO);
        assert!(!target.is_reached(&bench.roster, bench.now));
    }

    #[test]
    fn a_young_worker_counts_when_it_has_been_ready_for_long_enough() {
        let mut bench = PlanBench::new();
        bench.ready(0, ONE);
        bench.ready(0, TWO);
        let target = PlanTarget { min_ready: Duration::from_secs(5), ..target(TWO, 1) };
        let plan_at = |now| plan(&bench.roster, target, bench.limits, now);
        let later = bench.now + Duration::from_secs(5);
        assert_eq!(plan_at(bench.now), Plan { wake: Some(later), ..Plan::default() });
        assert_eq!(plan_at(later).retire, [WorkerId(0)]);
        assert!(!target.is_reached(&bench.roster, bench.now));
    }

    #[test]
    fn old_workers_count_however_young_they_are() {
        let mut bench = PlanBench::new();
        bench.ready(0, ONE);
        bench.ready(1, ONE);
        bench.ready(0, TWO);
        let target = PlanTarget { min_ready: Duration::from_secs(5), ..target(TWO, 2) };
        assert_eq!(plan(&bench.roster, target, bench.limits, bench.now).retire, []);
    }

    #[test]
    fn what_is_lost_while_the_new_generation_is_not_proven_is_replaced_by_the_old() {
        let mut bench = PlanBench::new();
        bench.ready(1, ONE);
        bench.boot(0, TWO);
        let fallback = Some(Fallback { generation: ONE, workers: 2 });
        let target = PlanTarget { fallback, ..target(TWO, 2) };
        let plan_now = |bench: &PlanBench| plan(&bench.roster, target, bench.limits, bench.now);
        assert_eq!(plan_now(&bench).spawn, [(Slot(0), ONE)]);
        let saved = bench.boot(0, ONE);
        assert_eq!(plan_now(&bench), Plan::default());
        let new = bench.roster.workers().find(|it| it.generation == TWO).unwrap().id;
        bench.roster.get_mut(new).unwrap().state = WorkerState::Ready { since: bench.now };
        assert_eq!(plan_now(&bench).retire, [saved]);
    }

    #[test]
    fn growth_belongs_to_the_new_generation() {
        let mut bench = PlanBench::new();
        bench.ready(0, ONE);
        let fallback = Some(Fallback { generation: ONE, workers: 1 });
        let target = PlanTarget { fallback, ..target(TWO, 3) };
        let spawn = plan(&bench.roster, target, bench.limits, bench.now).spawn;
        assert_eq!(spawn, [(Slot(1), TWO), (Slot(2), TWO), (Slot(0), TWO)]);
    }

    #[test]
    fn a_worker_that_hangs_is_replaced_before_it_goes() {
        let mut bench = PlanBench::new();
        let (hangs, _) = (bench.ready(0, ONE), bench.ready(1, ONE));
        bench.doom(hangs, Disposition::Doomed);
        assert_eq!(bench.plan(ONE, 2), (vec![0], vec![]));
        bench.ready(0, ONE);
        assert_eq!(bench.plan(ONE, 2), (vec![], vec![hangs]));
    }

    #[test]
    fn without_surge_a_worker_that_hangs_goes_first() {
        let mut bench = PlanBench::new();
        let (hangs, _) = (bench.ready(0, ONE), bench.ready(1, ONE));
        bench.doom(hangs, Disposition::Doomed);
        bench.limits = RolloutLimits { max_surge: 0, max_unavailable: 1 };
        assert_eq!(bench.plan(ONE, 2), (vec![], vec![hangs]));
        bench.roster.remove(hangs);
        assert_eq!(bench.plan(ONE, 2), (vec![0], vec![]));
    }

    #[test]
    fn when_all_hang_and_no_room_is_left_they_make_room() {
        let mut bench = PlanBench::new();
        let hang = [bench.ready(0, ONE), bench.ready(0, ONE)];
        hang.iter().for_each(|id| bench.doom(*id, Disposition::Doomed));
        assert_eq!(bench.plan(ONE, 1), (vec![0], hang.to_vec()));
    }

    #[test]
    fn a_worker_that_is_replaced_without_need_serves_until_then() {
        let mut bench = PlanBench::new();
        let (old, _) = (bench.ready(0, ONE), bench.ready(1, ONE));
        bench.doom(old, Disposition::Due);
        assert_eq!(bench.plan(ONE, 2), (vec![], vec![]));
        bench.doom(old, Disposition::Going);
        assert_eq!(bench.plan(ONE, 2), (vec![0], vec![]));
        bench.ready(0, ONE);
        assert_eq!(bench.plan(ONE, 2), (vec![], vec![old]));
    }
}
