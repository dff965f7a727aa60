//! Carries the plan out: starts and retires workers, and the molds that they need. Owns
//! when the plan changes by itself. Called by `pool.rs` after every event.

use std::time::{Duration, Instant};

use monoceros_wire::{Generation, Slot};

use crate::master::decide::action::{Action, Actions};
use crate::master::decide::config_run::ConfigRuns;
use crate::master::decide::hooks::ServerHooks;
use crate::master::decide::id::WorkerId;
use crate::master::decide::lifecycle::{self, STOP_LIMIT};
use crate::master::decide::planner::{PlanTarget, plan};
use crate::master::decide::reload::ForkedGeneration;
use crate::master::decide::roster::{
    Disposition, LeaveReason, Retirement, Role, Roster, WorkerEntry, WorkerState,
};
use crate::master::decide::settings::{ForkSource, MasterSettings, deadline_after};

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
    pub(crate) forked: &'a [ForkedGeneration],
    /// Workers respond with the failure if their application cannot be loaded.
    pub(crate) shows_failure: bool,
    /// What molds are doing beside.
    pub(crate) tasks: MoldTasks<'a>,
}

/// What molds are doing beside forking workers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MoldTasks<'a> {
    /// The hooks that they run.
    pub(crate) hooks: &'a ServerHooks,
    /// The run of the configuration file.
    pub(crate) runs: &'a ConfigRuns,
}

impl MoldTasks<'_> {
    /// The mold runs hooks, or the configuration file, and forks no worker meanwhile.
    fn is_busy(&self, mold: WorkerId) -> bool {
        self.hooks.is_running(mold) || self.runs.mold() == Some(mold)
    }
}

impl Wanted<'_> {
    /// The mold belongs to a generation that serves or is on its way.
    fn wants(&self, mold: &WorkerEntry, roster: &Roster) -> bool {
        let is_newer = |it: &WorkerEntry| it.role == mold.role && it.id > mold.id && it.is_ready();
        let is_replaced = mold.role == Role::ServerMold && roster.molds().any(is_newer);
        !is_replaced && self.forked.iter().any(|it| forks_for(mold, *it))
    }
}

/// The mold forks the workers of this generation.
pub(crate) fn forks_for(mold: &WorkerEntry, forked: ForkedGeneration) -> bool {
    match forked.source {
        ForkSource::Executed => false,
        ForkSource::GenerationMold => {
            mold.role == Role::Mold && mold.generation == forked.generation
        }
        ForkSource::ServerMold => mold.role == Role::ServerMold,
    }
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
            match find_origin(roster, wanted, generation) {
                WorkerOrigin::Executed => {
                    spawn(roster, (slot, generation), None, wanted, now, actions);
                }
                WorkerOrigin::Forked(mold) => {
                    spawn(roster, (slot, generation), Some(mold), wanted, now, actions);
                }
                WorkerOrigin::NotYet => {}
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
        let is_kept = |it: &WorkerEntry| wanted.wants(it, roster) || wanted.tasks.is_busy(it.id);
        let kept = roster.molds().filter(|it| is_kept(it)).map(|it| it.id).collect::<Vec<_>>();
        retire_molds(roster, &kept, LeaveReason::Retired, now, actions);
        // The newest generation first: a mold of the server has the newest settings.
        for forked in wanted.forked.iter().rev() {
            if roster.molds().any(|it| it.is_live() && forks_for(it, *forked)) {
                continue;
            }
            let role = match forked.source {
                ForkSource::Executed => continue,
                ForkSource::GenerationMold => Role::Mold,
                ForkSource::ServerMold => Role::ServerMold,
            };
            if let Some(at) = roster.wait(role, now) {
                self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
                continue;
            }
            let until = deadline_after(wanted.settings.boot_timeout, now);
            let worker = add_mold(roster, role, *forked, until);
            actions.push(Action::SpawnMold { worker, generation: forked.generation });
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

/// Adds a mold that is to be spawned.
pub(crate) fn add_mold(
    roster: &mut Roster,
    role: Role,
    forked: ForkedGeneration,
    until: Option<Instant>,
) -> WorkerId {
    let state = WorkerState::Booting { until, ready_at: None };
    let mold = roster.add(role, forked.generation, state);
    if let Some(entry) = roster.get_mut(mold) {
        entry.has_file = forked.has_file;
    }
    mold
}

/// Retires the molds that are not kept, each when the last worker that it has forked has ended:
/// what the application has started at import (a manager, an executor) ends with the mold, and a
/// worker that drains may still use it.
pub(crate) fn retire_molds(
    roster: &mut Roster,
    kept: &[WorkerId],
    reason: LeaveReason,
    now: Instant,
    actions: &mut Actions,
) {
    let is_used = |mold: &WorkerEntry| {
        kept.contains(&mold.id) || roster.workers().any(|it| it.mold == Some(mold.id))
    };
    let molds = roster.molds().filter(|mold| mold.is_live() && !is_used(mold));
    let unused: Vec<WorkerId> = molds.map(|mold| mold.id).collect();
    for id in unused {
        lifecycle::drain(roster, id, reason, STOP_LIMIT, now, actions);
    }
}

fn spawn(
    roster: &mut Roster,
    (slot, generation): (Slot, Generation),
    mold: Option<WorkerId>,
    wanted: Wanted,
    now: Instant,
    actions: &mut Actions,
) {
    let settings = wanted.settings;
    let until = deadline_after(settings.boot_timeout, now);
    let ready_at = settings.ready_after.map(|length| now + length);
    let state = WorkerState::Booting { until, ready_at };
    let worker = roster.add(Role::Worker(slot), generation, state);
    if let Some(entry) = roster.get_mut(worker) {
        entry.mold = mold;
    }
    let workers = wanted.target.workers;
    let shows_failure = wanted.shows_failure;
    actions.push(Action::Spawn { worker, slot, generation, workers, mold, shows_failure });
}

/// How a worker can be started at this moment.
enum WorkerOrigin {
    Executed,
    Forked(WorkerId),
    /// Its mold is not ready, or does something else.
    NotYet,
}

fn find_origin(roster: &Roster, wanted: Wanted, generation: Generation) -> WorkerOrigin {
    let Some(forked) = wanted.forked.iter().find(|it| it.generation == generation) else {
        return WorkerOrigin::Executed;
    };
    let molds = roster.molds().filter(|it| it.is_ready() && forks_for(it, *forked));
    match molds.last() {
        Some(mold) if !wanted.tasks.is_busy(mold.id) => WorkerOrigin::Forked(mold.id),
        Some(_) | None => WorkerOrigin::NotYet,
    }
}
