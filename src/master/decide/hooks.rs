//! Owns the hooks that molds were asked to run and that have not ended, and what molds are
//! asked for next: the first hooks of a new mold, `when_ready` after a reload, `on_exit`. Called
//! by the master only.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use monoceros_wire::Generation;
use monoceros_wire::gunicorn::ServerHook;
use monoceros_wire::message::ToWorker;

use crate::master::decide::action::Actions;
use crate::master::decide::id::WorkerId;
use crate::master::decide::settings::deadline_after;

/// The hooks of the configuration file in Python.
#[derive(Debug, Default)]
pub(crate) struct ServerHooks {
    /// In the order in which each mold runs them.
    pending: Vec<PendingHook>,
    next: u64,
    introductions: BTreeMap<Generation, Introduction>,
    /// The number of workers that molds know.
    workers: Option<u16>,
    /// The mold of a reload that runs `when_ready` once all other molds have ended.
    waiting: Option<WorkerId>,
    /// The molds in which `on_starting` has ended.
    started: BTreeSet<WorkerId>,
    /// `on_exit` was asked for.
    has_ended: bool,
}

/// What a mold is introduced to when it is ready for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Introduction {
    /// The server begins, and has no listening socket yet.
    Start,
    /// A reload has started it, and the number of workers was this one before.
    Reload {
        /// The number of workers that molds knew.
        old: Option<u16>,
    },
    /// It replaces a mold that has died.
    Again,
}

/// The longest time that a hook may take: the setting, and its value. Zero is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HookLimit {
    /// The name of the setting.
    pub(crate) setting: &'static str,
    /// Its value.
    pub(crate) length: Duration,
}

/// A hook that a mold was asked to run.
#[derive(Clone, Copy, Debug)]
struct PendingHook {
    number: u64,
    mold: WorkerId,
    hook: ServerHook,
    limit: HookLimit,
    /// When it must have ended; `None` while the mold runs an earlier one.
    until: Option<Instant>,
}

/// A hook that has taken all of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverdueHook {
    /// The mold that runs it.
    pub(crate) mold: WorkerId,
    /// The hook.
    pub(crate) hook: ServerHook,
    /// Its limit.
    pub(crate) limit: HookLimit,
}

impl ServerHooks {
    /// Asks a mold to run a hook, after those that it was asked for before.
    pub(crate) fn ask(
        &mut self,
        mold: WorkerId,
        hook: ServerHook,
        limit: HookLimit,
        now: Instant,
        actions: &mut Actions,
    ) {
        let number = self.next;
        self.next += 1;
        let until = if self.is_running(mold) { None } else { deadline_after(limit.length, now) };
        self.pending.push(PendingHook { number, mold, hook, limit, until });
        if let ServerHook::NumWorkersChanged { new, .. } = hook {
            self.workers = Some(new);
        }
        self.has_ended |= hook == ServerHook::OnExit;
        actions.send(mold, ToWorker::Hook { number, hook });
    }

    /// A hook has ended; `has_raised` if it has failed. Returns it, if the mold was asked for it.
    pub(crate) fn note_end(
        &mut self,
        mold: WorkerId,
        number: u64,
        has_raised: bool,
        now: Instant,
    ) -> Option<ServerHook> {
        let is_meant = |it: &PendingHook| it.mold == mold && it.number == number;
        let ended = self.pending.remove(self.pending.iter().position(is_meant)?);
        if let Some(next) = self.pending.iter_mut().find(|it| it.mold == mold) {
            next.until = deadline_after(next.limit.length, now);
        }
        if ended.hook == ServerHook::OnStarting && !has_raised {
            self.started.insert(mold);
        }
        Some(ended.hook)
    }

    /// A mold runs hooks.
    pub(crate) fn is_running(&self, mold: WorkerId) -> bool {
        self.pending.iter().any(|it| it.mold == mold)
    }

    /// `on_exit` is still to run in this mold when the server ends.
    pub(crate) fn is_owed_exit(&self, mold: WorkerId) -> bool {
        !self.has_ended && self.started.contains(&mold)
    }

    /// The number of workers that molds know.
    pub(crate) fn workers(&self) -> Option<u16> {
        self.workers
    }

    /// What the next mold of this generation is introduced to; older generations have none.
    pub(crate) fn plan_introduction(&mut self, generation: Generation, what: Introduction) {
        self.introductions.clear();
        self.introductions.insert(generation, what);
    }

    /// What a mold of this generation that is ready is introduced to.
    pub(crate) fn take_introduction(&mut self, generation: Generation) -> Introduction {
        self.introductions.remove(&generation).unwrap_or(Introduction::Again)
    }

    /// A mold of this generation is to be introduced.
    pub(crate) fn expects(&self, generation: Generation) -> bool {
        self.introductions.contains_key(&generation)
    }

    /// The server cannot begin: no mold runs `on_exit`.
    pub(crate) fn skip_exit(&mut self) {
        self.has_ended = true;
    }

    /// A mold runs `when_ready` once all others have ended.
    pub(crate) fn wait_for_others(&mut self, mold: WorkerId) {
        self.waiting = Some(mold);
    }

    /// The mold that waits for the end of all others.
    pub(crate) fn waiting(&self) -> Option<WorkerId> {
        self.waiting
    }

    /// No mold waits any more.
    pub(crate) fn stop_waiting(&mut self) {
        self.waiting = None;
    }

    /// A mold has ended, or is to be killed. Returns the hooks that it did not end, the one that
    /// it was running first.
    pub(crate) fn forget(&mut self, mold: WorkerId) -> Vec<ServerHook> {
        self.started.remove(&mold);
        self.waiting = self.waiting.filter(|waiting| *waiting != mold);
        let (lost, left) = self.pending.drain(..).partition(|it| it.mold == mold);
        self.pending = left;
        let lost: Vec<PendingHook> = lost;
        lost.into_iter().map(|it| it.hook).collect()
    }

    /// A hook that has taken all of its time.
    pub(crate) fn find_overdue(&self, now: Instant) -> Option<OverdueHook> {
        let overdue = self.pending.iter().find(|it| it.until.is_some_and(|at| at <= now));
        overdue.map(|it| OverdueHook { mold: it.mold, hook: it.hook, limit: it.limit })
    }

    /// From now on hooks have this limit, those that run too.
    pub(crate) fn shorten(&mut self, limit: HookLimit, now: Instant) {
        let mut seen = BTreeSet::new();
        for pending in &mut self.pending {
            let runs = seen.insert(pending.mold);
            if pending.limit == limit {
                continue;
            }
            pending.limit = limit;
            if runs {
                let until = deadline_after(limit.length, now);
                pending.until = [pending.until, until].into_iter().flatten().min();
            }
        }
    }

    /// When a hook must have ended.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.pending.iter().filter_map(|it| it.until).min()
    }

    /// Moves these times by a suspend of the master.
    pub(crate) fn shift(&mut self, by: Duration) {
        self.pending.iter_mut().for_each(|it| it.until = it.until.map(|at| at + by));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::decide::state::Purpose;

    const MOLD: WorkerId = WorkerId(1);
    const OTHER: WorkerId = WorkerId(2);
    const SECOND: Duration = Duration::from_secs(1);
    const LIMIT: HookLimit = HookLimit { setting: "boot-timeout", length: SECOND };

    fn asked(mold: WorkerId, wanted: &[ServerHook], now: Instant) -> ServerHooks {
        let (mut hooks, mut actions) = (ServerHooks::default(), Actions::new(Purpose::Serve));
        wanted.iter().for_each(|hook| hooks.ask(mold, *hook, LIMIT, now, &mut actions));
        assert_eq!(actions.take().len(), wanted.len());
        hooks
    }

    #[test]
    fn the_time_of_a_hook_begins_when_the_one_before_has_ended() {
        let now = Instant::now();
        let mut hooks = asked(MOLD, &[ServerHook::OnReload, ServerHook::PreExec], now);
        assert_eq!(hooks.deadline(), Some(now + SECOND));
        let later = now + SECOND / 2;
        assert_eq!(hooks.note_end(OTHER, 0, false, later), None, "the number of another mold");
        assert_eq!(hooks.note_end(MOLD, 0, false, later), Some(ServerHook::OnReload));
        assert_eq!(hooks.find_overdue(now + SECOND), None);
        let overdue = hooks.find_overdue(later + SECOND).unwrap();
        assert_eq!((overdue.mold, overdue.hook), (MOLD, ServerHook::PreExec));
        assert_eq!(hooks.forget(MOLD), [ServerHook::PreExec]);
        assert_eq!(hooks.deadline(), None);
    }

    #[test]
    fn a_mold_owes_on_exit_once_its_on_starting_has_ended() {
        let now = Instant::now();
        let mut hooks = asked(MOLD, &[ServerHook::OnStarting], now);
        assert!(hooks.is_running(MOLD) && !hooks.is_owed_exit(MOLD));
        hooks.note_end(MOLD, 0, false, now);
        assert!(hooks.is_owed_exit(MOLD) && !hooks.is_owed_exit(OTHER));
        hooks.ask(MOLD, ServerHook::OnExit, LIMIT, now, &mut Actions::new(Purpose::Serve));
        assert!(hooks.is_running(MOLD) && !hooks.is_owed_exit(MOLD), "it runs");
        let mut failed = asked(MOLD, &[ServerHook::OnStarting], now);
        failed.note_end(MOLD, 0, true, now);
        assert!(!failed.is_owed_exit(MOLD), "it never began");
    }

    #[test]
    fn at_the_end_hooks_have_no_more_than_its_limit() {
        let now = Instant::now();
        let mut hooks = ServerHooks::default();
        let mut actions = Actions::new(Purpose::Serve);
        let none = HookLimit { setting: "progress-deadline", length: Duration::ZERO };
        hooks.ask(MOLD, ServerHook::OnReload, none, now, &mut actions);
        hooks.ask(MOLD, ServerHook::PreExec, none, now, &mut actions);
        assert_eq!(hooks.deadline(), None);
        hooks.shorten(LIMIT, now);
        hooks.shorten(LIMIT, now + SECOND / 2);
        assert_eq!(hooks.deadline(), Some(now + SECOND));
        hooks.note_end(MOLD, 0, false, now + SECOND);
        assert_eq!(hooks.deadline(), Some(now + 2 * SECOND));
    }

    #[test]
    fn a_mold_that_no_reload_has_started_replaces_another_one() {
        let (mut hooks, reload) = (ServerHooks::default(), Introduction::Reload { old: Some(2) });
        hooks.plan_introduction(Generation(1), Introduction::Start);
        hooks.plan_introduction(Generation(2), reload);
        assert_eq!(hooks.take_introduction(Generation(1)), Introduction::Again);
        assert_eq!(hooks.take_introduction(Generation(2)), reload);
        assert_eq!(hooks.take_introduction(Generation(2)), Introduction::Again);
    }
}
