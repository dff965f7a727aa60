//! How a generation takes the place of another: begun by a reload, followed to
//! its end, or given up.

use std::time::{Duration, Instant};

use log::Level;
use monoceros_wire::Generation;

use crate::master::decide::action::{Action, Notice};
use crate::master::decide::planner::{Fallback, PlanTarget};
use crate::master::decide::settings::MasterSettings;
use crate::master::decide::state::MasterState;
use crate::master::decide::{Master, Purpose, after};

/// A generation that is replacing another one.
#[derive(Clone, Debug)]
pub(super) struct Rollout {
    pub(super) generation: Generation,
    pub(super) settings: MasterSettings,
    /// How many workers there were to be before.
    pub(super) workers_before: u16,
    /// How many there were.
    pub(super) lived_before: u16,
    /// One of its workers could be relied on: its code can serve.
    pub(super) proven: bool,
    /// The most of its workers that could be relied on at a time.
    pub(super) best: usize,
    /// When it must have one more.
    pub(super) deadline: Option<Instant>,
}

impl Master {
    pub(super) fn read_settings(&mut self) {
        self.notify(Notice::Reloading);
        self.newest.0 += 1;
        self.actions.push(Action::ReadSettings { generation: self.newest });
    }

    /// New settings cannot be used: all goes on with the old ones.
    pub(super) fn refuse_reload(&mut self, generation: Generation, text: &str) {
        self.log(Level::Error, format!("reload failed, nothing is changed: {text}"));
        self.failed_reload = Some(text.lines().next().unwrap_or_default().to_owned());
        self.answer_unread(generation, text);
        self.end_reload();
    }

    /// Makes a generation the target, in place of one that was on its way.
    pub(super) fn roll_to(
        &mut self,
        generation: Generation,
        settings: MasterSettings,
        now: Instant,
    ) {
        if let Some(before) = self.withdrawn.take() {
            self.set_number(before);
        }
        let workers_before =
            self.rollout.as_ref().map_or(self.workers, |rollout| rollout.workers_before);
        if settings.workers != self.settings().workers {
            self.set_number(settings.workers);
        }
        self.told.clear();
        self.roster.forget_failures();
        self.log(Level::Info, format!("reloading: gen={generation} replaces gen={}", self.current));
        let deadline = after(settings.progress_deadline, now);
        let lived_before = u16::try_from(self.roster.live().count()).unwrap_or(u16::MAX);
        let (proven, best) = (false, 0);
        self.rollout = Some(Rollout {
            generation,
            settings,
            workers_before,
            lived_before,
            proven,
            best,
            deadline,
        });
    }

    /// Ends a rollout whose generation cannot serve: the old one goes on.
    pub(super) fn abandon(&mut self, reason: &str) {
        let Some(rollout) = self.rollout.take() else { return };
        if self.workers == rollout.settings.workers {
            self.set_number(rollout.workers_before);
        }
        self.roster.forget_failures();
        let (failed, current) = (rollout.generation, self.current);
        let text = format!("gen={failed} {reason}; gen={current} goes on");
        self.log(Level::Error, format!("reload failed: {text}"));
        self.failed_reload = Some(format!("gen={failed} {reason}"));
        self.answer_abandoned(failed, &text);
        self.actions.push(Action::Settle { generation: current });
        self.end_reload();
    }

    /// Tells the init system that a reload is over, however it went.
    pub(super) fn end_reload(&mut self) {
        self.tell_status();
        // One that has said that it stops is not ready again.
        if !matches!(self.state, MasterState::Delaying { .. }) {
            self.notify(Notice::Ready);
        }
    }

    /// Goes on to the next state, or generation, when all are there.
    pub(super) fn note_progress(&mut self, now: Instant) {
        let target = self.target();
        if let Some(rollout) = &mut self.rollout {
            let count = target.count(&self.roster, now);
            if count > rollout.best {
                rollout.best = count;
                rollout.proven = true;
                rollout.deadline = after(rollout.settings.progress_deadline, now);
            }
        }
        if !target.is_reached(&self.roster, now) {
            return;
        }
        if self.state == MasterState::Booting {
            if self.purpose == Purpose::Check {
                return self.stop(0, now);
            }
            self.state = MasterState::Serving;
            let (app, workers) = (self.app.clone(), self.workers);
            self.actions.push(Action::Announce { app, workers });
            self.end_reload();
            if std::mem::take(&mut self.reload_again) {
                self.read_settings();
            }
        }
        if let Some(rollout) = self.rollout.take() {
            self.current = rollout.generation;
            self.settings = rollout.settings;
            self.failed_reload = None;
            self.log(Level::Info, format!("reloaded: gen={} serves", self.current));
            self.answer_reloaded();
            self.actions.push(Action::Settle { generation: self.current });
            self.tend_molds(now);
            self.end_reload();
        }
    }

    /// What is asked for.
    pub(super) fn target(&self) -> PlanTarget {
        let workers = self.workers;
        let Some(rollout) = &self.rollout else {
            // The first workers need not be old before they are announced.
            let booting = self.state == MasterState::Booting;
            let min_ready = if booting { Duration::ZERO } else { self.settings.min_ready };
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

    /// The newest settings.
    pub(super) fn settings(&self) -> &MasterSettings {
        self.rollout.as_ref().map_or(&self.settings, |rollout| &rollout.settings)
    }
}
