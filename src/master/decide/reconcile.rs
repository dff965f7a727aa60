//! Carries the plan out: starts and retires workers, and the molds that they need. Owns
//! when the plan changes by itself. Called by `pool.rs` after every event.

use std::time::{Duration, Instant};

use monoceros_wire::{Generation, Slot};

use crate::master::decide::action::{Action, Actions};
use crate::master::decide::id::WorkerId;
use crate::master::decide::lifecycle::{self, STOP_LIMIT};
use crate::master::decide::planner::{PlanTarget, plan};
use crate::master::decide::roster::{
    Disposition, LeaveReason, Retirement, Role, Roster, WorkerEntry, WorkerState,
};
use crate::master::decide::settings::{MasterSettings, deadline_after};

/// When the plan must be made again without an event.
#[derive(Debug, Default)]
pub(crate) struct Reconciler {
    wake: Option<Instant>,
}

/// What the workers are to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// The number of workers and their generation.
    pub(crate) target: PlanTarget,
    /// The newest settings.
    pub(crate) settings: &'a MasterSettings,
    /// The generations whose workers are forked from a mold.
    pub(crate) preloading: &'a [Generation],
}

impl Reconciler {
    /// When the plan changes by itself.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.wake
    }

    /// Moves that time by a suspend of the master.
    pub(crate) fn shift(&mut self, by: Duration) {
        self.wake = self.wake.map(|at| at + by);
    }

    /// Makes no more plans.
    pub(crate) fn stop(&mut self) {
        self.wake = None;
    }

    /// Makes the plan of this moment, and carries it out.
    pub(crate) fn reconcile(
        &mut self,
        roster: &mut Roster,
        wanted: Wanted,
        now: Instant,
        actions: &mut Actions,
    ) {
        let settings = wanted.settings;
        let plan = plan(roster, wanted.target, settings.limits, now);
        self.wake = plan.wake;
        for id in plan.retire {
            let (reason, limit) = (LeaveReason::Retired, settings.graceful_timeout);
            if let Some(worker) = roster.get_mut(id) {
                worker.retirement = Some(retirement_of(worker, wanted.target));
            }
            lifecycle::drain(roster, id, reason, limit, now, actions);
        }
        self.reconcile_molds(roster, wanted, now, actions);
        for (slot, generation) in plan.spawn {
            if has_mold(roster, wanted.preloading, generation) {
                spawn(roster, slot, generation, wanted, now, actions);
            }
        }
    }

    /// Starts a mold for each generation that may have to fork workers, and retires the
    /// molds of other generations.
    pub(crate) fn reconcile_molds(
        &mut self,
        roster: &mut Roster,
        wanted: Wanted,
        now: Instant,
        actions: &mut Actions,
    ) {
        retire_molds(roster, wanted.preloading, LeaveReason::Retired, now, actions);
        for &generation in wanted.preloading {
            if roster.molds().any(|it| it.is_live() && it.generation == generation) {
                continue;
            }
            if let Some(at) = roster.wait(Role::Mold, now) {
                self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
                continue;
            }
            let until = deadline_after(wanted.settings.boot_timeout, now);
            let state = WorkerState::Booting { until, ready_at: None };
            let worker = roster.add(Role::Mold, generation, state);
            actions.push(Action::SpawnMold { worker, generation });
        }
    }
}

/// Why the plan retires a worker.
fn retirement_of(worker: &WorkerEntry, target: PlanTarget) -> Retirement {
    match (worker.disposition, worker.observed.due) {
        (Disposition::Doomed, _) => Retirement::TimedOut,
        (Disposition::Going, Some(cause)) => Retirement::Recycled(cause),
        _ if worker.generation == target.generation => Retirement::FewerWorkers,
        _ => Retirement::Reload,
    }
}

/// Retires the molds of generations that are not kept, each when the last worker of its
/// generation has ended: what the application has started at import (a manager, an
/// executor) ends with the mold, and a worker that drains may still use it.
pub(crate) fn retire_molds(
    roster: &mut Roster,
    kept: &[Generation],
    reason: LeaveReason,
    now: Instant,
    actions: &mut Actions,
) {
    let is_used = |mold: &WorkerEntry| {
        kept.contains(&mold.generation)
            || roster.workers().any(|it| it.generation == mold.generation)
    };
    let molds = roster.molds().filter(|mold| mold.is_live() && !is_used(mold));
    let unused: Vec<WorkerId> = molds.map(|mold| mold.id).collect();
    for id in unused {
        lifecycle::drain(roster, id, reason, STOP_LIMIT, now, actions);
    }
}

fn spawn(
    roster: &mut Roster,
    slot: Slot,
    generation: Generation,
    wanted: Wanted,
    now: Instant,
    actions: &mut Actions,
) {
    let settings = wanted.settings;
    let until = deadline_after(settings.boot_timeout, now);
    let ready_at = settings.ready_after.map(|length| now + length);
    let state = WorkerState::Booting { until, ready_at };
    let worker = roster.add(Role::Worker(slot), generation, state);
    let workers = wanted.target.workers;
    actions.push(Action::Spawn { worker, slot, generation, workers });
}

/// Workers of this generation can be started: it has a mold that is ready, or needs none.
fn has_mold(roster: &Roster, preloading: &[Generation], generation: Generation) -> bool {
    !preloading.contains(&generation)
        || roster.molds().any(|it| it.is_ready() && it.generation == generation)
}
