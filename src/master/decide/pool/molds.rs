//! The molds that run a configuration file in Python: which one has the hooks of the server, and
//! how each begins and ends. Owns nothing. Called by the master only.

use std::time::{Duration, Instant};

use super::{PoolContext, WorkerPool};
use crate::master::decide::action::Actions;
use crate::master::decide::hooks::ServerHooks;
use crate::master::decide::id::WorkerId;
use crate::master::decide::lifecycle::{self, STOP_LIMIT};
use crate::master::decide::reconcile::{self, forks_for, retire_molds};
use crate::master::decide::reload::{ForkedGeneration, Reload};
use crate::master::decide::roster::{LeaveReason, Role, WorkerEntry, WorkerState};

impl WorkerPool {
    /// The server ends: no worker is spawned any more, and each mold ends after its
    /// workers and its hooks.
    pub(crate) fn wind_down(&mut self, context: PoolContext, actions: &mut Actions) {
        self.reconciler.stop();
        let (now, hooks) = (context.now, context.tasks.hooks);
        let exiting = self.exit_mold(hooks);
        let is_kept = |id: &WorkerId| hooks.is_running(*id) || exiting == Some(*id);
        let kept: Vec<_> = self.roster.molds().map(|it| it.id).filter(is_kept).collect();
        retire_molds(&mut self.roster, &kept, LeaveReason::Stopped, now, actions);
    }

    /// The mold that runs `on_exit` when the server has no worker any more.
    pub(crate) fn exit_mold(&self, hooks: &ServerHooks) -> Option<WorkerId> {
        let is_meant = |it: &&WorkerEntry| it.is_live() && hooks.is_owed_exit(it.id);
        self.roster.molds().filter(is_meant).last().map(|mold| mold.id)
    }

    /// The mold that runs the hooks of the server: that of the newest generation, or of the
    /// one that serves while that is not ready.
    pub(crate) fn hook_mold(&self, reload: &Reload) -> Option<WorkerId> {
        let of = |forked: &ForkedGeneration| {
            let is_meant =
                |it: &&WorkerEntry| it.is_ready() && it.has_file && forks_for(it, *forked);
            self.roster.molds().filter(is_meant).last().map(|mold| mold.id)
        };
        reload.forked().iter().rev().find_map(of)
    }

    /// A mold that the master has started before it began, or a reload, runs the configuration
    /// file.
    pub(crate) fn add_mold(
        &mut self,
        role: Role,
        forked: ForkedGeneration,
        until: Option<Instant>,
    ) -> WorkerId {
        reconcile::add_mold(&mut self.roster, role, forked, until)
    }

    /// The settings are known for which a mold of this role is to get ready in time.
    pub(crate) fn settle_mold(&mut self, id: WorkerId, role: Role, until: Option<Instant>) {
        if let Some(mold) = self.roster.get_mut(id) {
            mold.role = role;
            if let WorkerState::Booting { until: known, .. } = &mut mold.state {
                *known = until;
            }
        }
    }

    /// Ends a mold that no generation needs.
    pub(crate) fn retire_mold(&mut self, id: WorkerId, now: Instant, actions: &mut Actions) {
        lifecycle::drain(&mut self.roster, id, LeaveReason::Retired, STOP_LIMIT, now, actions);
    }

    /// A mold has reported that it cannot run the configuration file. It ends by itself.
    pub(crate) fn leave_failed(&mut self, id: WorkerId, now: Instant) {
        lifecycle::leave_failed(&mut self.roster, id, now);
    }

    /// Ends a mold that hangs, after it has written its stacks. The next one waits for a moment.
    pub(crate) fn abort_mold(&mut self, id: WorkerId, now: Instant, actions: &mut Actions) {
        let Some(mold) = self.roster.get(id).filter(|it| it.is_live()) else { return };
        let role = mold.role;
        lifecycle::abort(&mut self.roster, id, LeaveReason::Hung, now, actions);
        self.roster.fail(role, Duration::ZERO, now);
    }
}
