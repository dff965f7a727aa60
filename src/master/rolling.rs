//! How a generation takes the place of another: begun by a reload, followed to
//! its end, or given up.

use std::time::{Duration, Instant};

use log::Level;
use monoceros_wire::Generation;

use super::rollout::{Fallback, Target};
use super::state::{Action, Notice, State, Terms};
use super::{Master, Purpose, after};

/// A generation that is replacing another one.
#[derive(Clone, Debug)]
pub(super) struct Rolling {
    pub(super) generation: Generation,
    pub(super) terms: Terms,
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
    pub(super) fn roll_to(&mut self, generation: Generation, terms: Terms, now: Instant) {
        if let Some(before) = self.withdrawn.take() {
            self.set_number(before);
        }
        let workers_before =
            self.rolling.as_ref().map_or(self.workers, |rolling| rolling.workers_before);
        if terms.workers != self.terms().workers {
            self.set_number(terms.workers);
        }
        self.told.clear();
        self.roster.forget_failures();
        self.log(Level::Info, format!("reloading: gen={generation} replaces gen={}", self.current));
        let deadline = after(terms.progress_deadline, now);
        let lived_before = u16::try_from(self.roster.live().count()).unwrap_or(u16::MAX);
        let (proven, best) = (false, 0);
        self.rolling = Some(Rolling {
            generation,
            terms,
            workers_before,
            lived_before,
            proven,
            best,
            deadline,
        });
    }

    /// Ends a rollout whose generation cannot serve: the old one goes on.
    pub(super) fn abandon(&mut self, reason: &str) {
        let Some(rolling) = self.rolling.take() else { return };
        if self.workers == rolling.terms.workers {
            self.set_number(rolling.workers_before);
        }
        self.roster.forget_failures();
        let (failed, current) = (rolling.generation, self.current);
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
        if !matches!(self.state, State::Delaying { .. }) {
            self.notify(Notice::Ready);
        }
    }

    /// Goes on to the next state, or generation, when all are there.
    pub(super) fn note_progress(&mut self, now: Instant) {
        let target = self.target();
        if let Some(rolling) = &mut self.rolling {
            let count = target.count(&self.roster, now);
            if count > rolling.best {
                rolling.best = count;
                rolling.proven = true;
                rolling.deadline = after(rolling.terms.progress_deadline, now);
            }
        }
        if !target.is_reached(&self.roster, now) {
            return;
        }
        if self.state == State::Booting {
            if self.purpose == Purpose::Check {
                return self.stop(0, now);
            }
            self.state = State::Serving;
            let (app, workers) = (self.app.clone(), self.workers);
            self.actions.push(Action::Announce { app, workers });
            self.end_reload();
            if std::mem::take(&mut self.reload_again) {
                self.read_settings();
            }
        }
        if let Some(rolling) = self.rolling.take() {
            self.current = rolling.generation;
            self.terms = rolling.terms;
            self.failed_reload = None;
            self.log(Level::Info, format!("reloaded: gen={} serves", self.current));
            self.answer_reloaded();
            self.actions.push(Action::Settle { generation: self.current });
            self.tend_molds(now);
            self.end_reload();
        }
    }

    /// What is asked for.
    pub(super) fn target(&self) -> Target {
        let workers = self.workers;
        let Some(rolling) = &self.rolling else {
            // The first workers need not be old before they are announced.
            let booting = self.state == State::Booting;
            let min_ready = if booting { Duration::ZERO } else { self.terms.min_ready };
            return Target { generation: self.current, workers, min_ready, fallback: None };
        };
        let before = rolling.workers_before.min(rolling.lived_before);
        let fallback = Fallback { generation: self.current, workers: before };
        Target {
            generation: rolling.generation,
            workers,
            min_ready: rolling.terms.min_ready,
            fallback: Some(fallback).filter(|_| !rolling.proven),
        }
    }

    /// The newest settings.
    pub(super) fn terms(&self) -> &Terms {
        self.rolling.as_ref().map_or(&self.terms, |rolling| &rolling.terms)
    }
}
