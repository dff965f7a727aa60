//! Owns the generations: the one that serves, the one that replaces it, and the settings
//! of both. Called by the master only.

use std::time::{Duration, Instant};

use log::Level;
use monoceros_log::MessageId;
use monoceros_wire::Generation;

use crate::master::decide::action::{Action, Actions, Notification};
use crate::master::decide::planner::{Fallback, PlanTarget};
use crate::master::decide::pool_size::PoolSize;
use crate::master::decide::roster::{Roster, WorkerEntry};
use crate::master::decide::settings::{ForkSource, MasterSettings, deadline_after};

/// The generations, and the reload that is under way.
#[derive(Debug)]
pub(crate) struct Reload {
    /// The settings of `current`.
    settings: MasterSettings,
    /// The generation that serves, or is the first.
    current: Generation,
    /// The generation that replaces it.
    rollout: Option<Rollout>,
    /// The highest number that was given to a generation.
    newest: Generation,
    /// The last generation whose settings were read.
    last_read: Generation,
    /// A reload was asked for when none could begin.
    is_put_off: bool,
    /// Why the last reload failed, if it did.
    failure: Option<String>,
    /// All that is known of its cause, until newer code serves.
    cause: Option<String>,
    /// The application needs alone what its worker has, such as a port: at each reload the old
    /// worker ends before the new one starts.
    is_exclusive: bool,
}

/// A generation that replaces another one.
#[derive(Clone, Debug)]
struct Rollout {
    generation: Generation,
    settings: MasterSettings,
    /// The wanted number of workers before the reload.
    workers_before: u16,
    /// The number of live workers before it.
    lived_before: u16,
    /// One of its workers has been available, so its code can serve.
    proven: bool,
    /// Its workers respond with the failure if their application cannot be loaded.
    shows_failure: bool,
    /// The most of its workers that were available at a time.
    best: usize,
    /// When one more must be available.
    deadline: Option<Instant>,
}

/// A generation whose workers are forked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ForkedGeneration {
    /// Its number.
    pub(crate) generation: Generation,
    /// Which mold forks them.
    pub(crate) source: ForkSource,
    /// The mold runs a configuration file in Python.
    pub(crate) has_file: bool,
}

/// A generation that was given up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Abandoned {
    /// Its number.
    pub(crate) generation: Generation,
    /// The reason, and which generation goes on.
    pub(crate) text: String,
}

impl Reload {
    /// Before the first generation serves.
    pub(crate) fn new(generation: Generation, settings: MasterSettings) -> Self {
        Self {
            settings,
            current: generation,
            rollout: None,
            newest: generation,
            last_read: generation,
            is_put_off: false,
            failure: None,
            cause: None,
            is_exclusive: false,
        }
    }

    /// The newest settings.
    pub(crate) fn settings(&self) -> &MasterSettings {
        self.rollout.as_ref().map_or(&self.settings, |rollout| &rollout.settings)
    }

    /// The generation that serves, or is the first.
    pub(crate) fn current(&self) -> Generation {
        self.current
    }

    /// The highest number that was given to a generation.
    pub(crate) fn newest(&self) -> Generation {
        self.newest
    }

    /// The generation that replaces the one that serves.
    pub(crate) fn rolling_to(&self) -> Option<Generation> {
        self.rollout.as_ref().map(|rollout| rollout.generation)
    }

    /// Why the last reload failed, if it did.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// All that is known of why the last reload failed, until newer code serves.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// Returns whether newer code serves than that of a reload which failed, and forgets that one.
    pub(crate) fn take_overcome_cause(&mut self) -> bool {
        let is_proven = self.rollout.as_ref().is_some_and(|rollout| rollout.proven);
        is_proven && self.cause.take().is_some()
    }

    /// At each reload the old worker ends before the new one starts.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.is_exclusive
    }

    /// From now on the old worker ends before the new one starts.
    pub(crate) fn end_old_first(&mut self) {
        self.is_exclusive = true;
        if let Some(rollout) = &mut self.rollout {
            rollout.settings.end_old_first();
        }
    }

    /// The workers that replace others respond with their failure.
    pub(crate) fn show_failure(&mut self) {
        if let Some(rollout) = &mut self.rollout {
            rollout.shows_failure = true;
        }
    }

    /// Workers that start now respond with their failure: no other code serves.
    pub(crate) fn shows_failure(&self) -> bool {
        self.rollout.as_ref().map_or(self.is_exclusive, |rollout| rollout.shows_failure)
    }

    /// When the rollout must have made progress.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.rollout.as_ref().and_then(|rollout| rollout.deadline)
    }

    /// Moves that time by a suspend of the master.
    pub(crate) fn shift(&mut self, by: Duration) {
        if let Some(rollout) = &mut self.rollout {
            rollout.deadline = rollout.deadline.map(|at| at + by);
        }
    }

    /// The generations whose workers are forked from a mold.
    pub(crate) fn forked(&self) -> Vec<ForkedGeneration> {
        let forked = |generation, settings: &MasterSettings| {
            let (source, has_file) = (settings.fork_source(), settings.has_file);
            ForkedGeneration { generation, source, has_file }
        };
        let rollout = self.rollout.as_ref().map(|it| forked(it.generation, &it.settings));
        let known = [Some(forked(self.current, &self.settings)), rollout];
        let known = known.into_iter().flatten();
        known.filter(|it| it.source != ForkSource::Executed).collect()
    }

    /// Settings are being read: their result is not known.
    pub(crate) fn is_reading(&self) -> bool {
        self.newest > self.last_read
    }

    /// Delays a reload until one is possible again.
    pub(crate) fn put_off(&mut self) {
        self.is_put_off = true;
    }

    /// A reload waits until it is possible.
    pub(crate) fn is_put_off(&self) -> bool {
        self.is_put_off
    }

    /// Returns whether a reload waits, and forgets it.
    pub(crate) fn take_put_off(&mut self) -> bool {
        std::mem::take(&mut self.is_put_off)
    }

    /// The generation that the last reload that was asked for is read for. The settings
    /// for one that was put off are not read yet.
    pub(crate) fn last_asked(&self) -> Generation {
        Generation(self.newest.0.saturating_add(u32::from(self.is_put_off)))
    }

    /// Reads the settings for a new generation.
    pub(crate) fn read_settings(&mut self, actions: &mut Actions) {
        actions.notify(Notification::Reloading);
        self.newest.0 += 1;
        actions.push(Action::ReadSettings { generation: self.newest });
    }

    /// The settings of a generation were read, with or without success.
    pub(crate) fn note_read(&mut self, generation: Generation) {
        self.last_read = generation;
    }

    /// New settings cannot be used: the server goes on with the old ones.
    pub(crate) fn refuse(&mut self, text: &str, actions: &mut Actions) {
        let line = format!("reload failed, nothing is changed: {text}");
        actions.log_event(Level::Error, MessageId::ReloadFailed, line);
        self.failure = Some(text.lines().next().unwrap_or_default().to_owned());
        self.cause = Some(text.to_owned());
    }

    /// Makes a generation the target, in place of one that was on its way.
    pub(crate) fn begin(
        &mut self,
        generation: Generation,
        mut settings: MasterSettings,
        pool: &mut PoolSize,
        roster: &Roster,
        now: Instant,
        actions: &mut Actions,
    ) {
        pool.restore(roster, actions);
        let workers_before =
            self.rollout.as_ref().map_or(pool.workers(), |rollout| rollout.workers_before);
        self.is_exclusive &= settings.can_end_old_first();
        if self.is_exclusive {
            settings.end_old_first();
        }
        if settings.workers != self.settings().workers {
            pool.set(settings.workers, roster, actions);
        }
        let current = self.current;
        actions.log(Level::Info, format!("reloading: gen={generation} replaces gen={current}"));
        let deadline = deadline_after(settings.progress_deadline, now);
        let lived_before = u16::try_from(roster.live().count()).unwrap_or(u16::MAX);
        let (proven, shows_failure, best) = (false, false, 0);
        self.rollout = Some(Rollout {
            generation,
            settings,
            workers_before,
            lived_before,
            proven,
            shows_failure,
            best,
            deadline,
        });
    }

    /// Gives up a generation that cannot serve: the old one goes on.
    pub(crate) fn abandon(
        &mut self,
        reason: &str,
        cause: &str,
        pool: &mut PoolSize,
        roster: &Roster,
        actions: &mut Actions,
    ) -> Option<Abandoned> {
        let rollout = self.rollout.take()?;
        if pool.workers() == rollout.settings.workers {
            pool.set(rollout.workers_before, roster, actions);
        }
        let (generation, current) = (rollout.generation, self.current);
        let text = format!("gen={generation} {reason}; gen={current} goes on");
        let line = format!("reload failed: {text}");
        actions.log_event(Level::Error, MessageId::ReloadFailed, line);
        self.failure = Some(format!("gen={generation} {reason}"));
        self.cause = Some(cause.to_owned());
        Some(Abandoned { generation, text })
    }

    /// The master ends: no generation replaces another one any more.
    pub(crate) fn cancel(&mut self) {
        self.rollout = None;
    }

    /// Whether the worker belongs to a new generation of which no worker has been available
    /// yet. Its failure is then attributed to the new code.
    pub(crate) fn is_unproven(&self, worker: &WorkerEntry) -> bool {
        let of_worker = self.rollout.as_ref().filter(|it| it.generation == worker.generation);
        of_worker.is_some_and(|rollout| !rollout.proven)
    }

    /// The rollout has made no progress for too long.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|at| at <= now)
    }

    /// Notes how many workers of the target are available.
    pub(crate) fn note_available(&mut self, count: usize, now: Instant) {
        if let Some(rollout) = &mut self.rollout
            && count > rollout.best
        {
            rollout.best = count;
            rollout.proven = true;
            rollout.deadline = deadline_after(rollout.settings.progress_deadline, now);
        }
    }

    /// All workers are of the new generation: it is the one that serves. Returns whether
    /// there was a rollout.
    pub(crate) fn finish(&mut self, actions: &mut Actions) -> bool {
        let Some(rollout) = self.rollout.take() else { return false };
        self.current = rollout.generation;
        self.settings = rollout.settings;
        self.failure = None;
        let line = format!("reloaded: gen={} serves", self.current);
        actions.log_event(Level::Info, MessageId::Reloaded, line);
        true
    }

    /// Drops the settings and listeners that only other generations have.
    pub(crate) fn drop_others(&self, actions: &mut Actions) {
        let (generation, last_read) = (self.current, self.last_read);
        actions.push(Action::KeepGeneration { generation, last_read });
    }

    /// What the workers are to become. The first workers of a server that boots count as
    /// soon as they are ready: nothing serves before them.
    pub(crate) fn target(&self, workers: u16, is_booting: bool) -> PlanTarget {
        let Some(rollout) = &self.rollout else {
            let min_ready = if is_booting { Duration::ZERO } else { self.settings.min_ready };
            return PlanTarget { generation: self.current, workers, min_ready, fallback: None };
        };
        let before = rollout.workers_before.min(rollout.lived_before);
        let fallback = Fallback { generation: self.current, workers: before };
        PlanTarget {
            generation: rollout.generation,
            workers,
            min_ready: rollout.settings.min_ready,
            fallback: Some(fallback).filter(|_| !rollout.proven),
        }
    }

    /// Replaces the settings of the generation that serves.
    #[cfg(test)]
    pub(crate) fn set_settings(&mut self, settings: MasterSettings) {
        self.settings = settings;
    }
}
