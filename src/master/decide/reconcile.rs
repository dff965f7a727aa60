//! Who is spawned and who is retired, as the plan says, and the molds that this
//! takes.

use std::time::Instant;

use monoceros_wire::{Generation, Slot};

use crate::master::decide::action::Action;
use crate::master::decide::planner::plan;
use crate::master::decide::roster::{LeaveReason, Role, WorkerEntry, WorkerState};
use crate::master::decide::{Master, STOP_LIMIT, after};

impl Master {
    pub(super) fn carry_out_plan(&mut self, now: Instant) {
        let (limits, graceful_timeout) = (self.settings().limits, self.settings().graceful_timeout);
        let plan = plan(&self.roster, self.target(), limits, now);
        self.wake = plan.wake;
        for id in plan.retire {
            self.release(id, LeaveReason::Retired, graceful_timeout, now);
        }
        self.tend_molds(now);
        for (slot, generation) in plan.spawn {
            if self.has_mold(generation) {
                self.spawn(slot, generation, now);
            }
        }
    }

    fn spawn(&mut self, slot: Slot, generation: Generation, now: Instant) {
        let settings = self.settings();
        let until = after(settings.boot_timeout, now);
        let ready_at = settings.ready_after.map(|length| now + length);
        let state = WorkerState::Booting { until, ready_at };
        let worker = self.roster.add(Role::WorkerEntry(slot), generation, state);
        let workers = self.workers;
        self.actions.push(Action::Spawn { worker, slot, generation, workers });
    }

    /// Has a mold for each generation that may have to fork workers, and no
    /// other.
    pub(super) fn tend_molds(&mut self, now: Instant) {
        let wanted = self.generations_with_mold();
        self.dismiss_molds(&wanted, LeaveReason::Retired, now);
        let lacks = |generation: &Generation| {
            !self.roster.molds().any(|it| it.is_live() && it.generation == *generation)
        };
        let lacking: Vec<_> = wanted.into_iter().filter(lacks).collect();
        for generation in lacking {
            if let Some(at) = self.roster.wait(Role::Mold, now) {
                self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
                continue;
            }
            let until = after(self.settings().boot_timeout, now);
            let state = WorkerState::Booting { until, ready_at: None };
            let worker = self.roster.add(Role::Mold, generation, state);
            self.actions.push(Action::SpawnMold { worker, generation });
        }
    }

    /// Ends molds of other generations, each when its last worker is gone: what
    /// the application has started at import (a manager, an executor) ends with
    /// the mold, and a worker that drains may still use it.
    pub(super) fn dismiss_molds(
        &mut self,
        wanted: &[Generation],
        reason: LeaveReason,
        now: Instant,
    ) {
        let is_used = |mold: &WorkerEntry| {
            wanted.contains(&mold.generation)
                || self.roster.workers().any(|it| it.generation == mold.generation)
        };
        let molds = self.roster.molds().filter(|mold| mold.is_live() && !is_used(mold));
        let unused: Vec<_> = molds.map(|mold| mold.id).collect();
        for id in unused {
            self.release(id, reason, STOP_LIMIT, now);
        }
    }

    fn generations_with_mold(&self) -> Vec<Generation> {
        let rollout = self.rollout.as_ref().map(|it| (it.generation, it.settings.preload));
        let known = [Some((self.current, self.settings.preload)), rollout];
        known.into_iter().flatten().filter(|(_, preload)| *preload).map(|(it, _)| it).collect()
    }

    fn has_mold(&self, generation: Generation) -> bool {
        let preloads = self.generations_with_mold().contains(&generation);
        !preloads || self.roster.molds().any(|it| it.is_ready() && it.generation == generation)
    }
}
