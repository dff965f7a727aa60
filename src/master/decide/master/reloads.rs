//! Reloads: a generation replaces another one, or fails to. Owns nothing. Called by the
//! states of the master; `decide/reload.rs` has the generations.

use std::time::Instant;

use log::Level;
use monoceros_wire::Generation;
use monoceros_wire::message::ToWorker;

use super::Master;
use crate::master::decide::action::{Action, Notification};
use crate::master::decide::id::WorkerId;
use crate::master::decide::settings::MasterSettings;
use crate::master::decide::state::{MasterState, Purpose};
use crate::master::decide::tally::ChangeOutcome;

/// The most bytes of a cause that workers are sent.
const MAX_CAUSE: usize = 16 * 1024;

impl Master {
    /// An operator asks for a reload.
    pub(super) fn ask_reload(&mut self, now: Instant) {
        if self.succession.is_upgrading() {
            // The successor may have read its settings too early. The init system must be
            // notified at once that the reload it asked for is under way.
            let text = "an upgrade is under way: the reload comes after it";
            self.actions.log(Level::Info, text);
            self.reload.put_off();
            self.actions.notify(Notification::Reloading);
        } else if self.state == MasterState::Serving && !self.reload.is_reading() {
            self.read_settings(now);
        } else {
            self.reload.put_off();
        }
    }

    /// Files that `reload` watches have changed.
    pub(super) fn note_sources(&mut self, text: &str, now: Instant) {
        self.actions.log(Level::Info, format!("reloading: {text}"));
        self.ask_reload(now);
    }

    /// Reads the settings for a new generation: a reload begins.
    pub(super) fn read_settings(&mut self, now: Instant) {
        self.reload.read_settings(&mut self.actions);
        self.tally.begin_reload(self.reload.newest(), now);
    }

    /// The new settings cannot be used.
    pub(super) fn refuse_reload(&mut self, generation: Generation, text: &str, now: Instant) {
        self.tally.end_reload(generation, ChangeOutcome::Failed, Some(text), now);
        self.reload.refuse(text, &mut self.actions);
        self.show_failure();
        self.clients.reload_unread(generation, text, &mut self.actions);
        self.end_reload();
        self.take_up_reload(now);
    }

    /// Begins the reload that was asked for while another one was being read.
    pub(super) fn take_up_reload(&mut self, now: Instant) {
        let is_busy = self.succession.is_upgrading() || self.reload.is_reading();
        let is_possible = self.state == MasterState::Serving && !is_busy;
        if is_possible && self.reload.take_put_off() {
            self.read_settings(now);
        }
    }

    /// The new settings can be used: their generation is rolled out.
    pub(super) fn begin_rollout(
        &mut self,
        generation: Generation,
        settings: MasterSettings,
        now: Instant,
    ) {
        self.tally.supersede_reloads(generation, now);
        self.pool.forget_failures();
        let ((size, roster), actions) = (self.pool.size_and_roster(), &mut self.actions);
        self.reload.begin(generation, settings, size, roster, now, actions);
        if let Some(run) = self.runs.take(generation) {
            self.adopt_reader(&run, now);
        }
        self.take_up_reload(now);
    }

    /// The new generation cannot serve, for a reason with this cause: the old one goes on.
    pub(super) fn abandon_reload(&mut self, reason: &str, cause: &str, now: Instant) {
        let ((size, roster), actions) = (self.pool.size_and_roster(), &mut self.actions);
        let Some(abandoned) = self.reload.abandon(reason, cause, size, roster, actions) else {
            return;
        };
        self.tally.end_reload(abandoned.generation, ChangeOutcome::Failed, Some(cause), now);
        self.show_failure();
        self.pool.forget_backoffs();
        self.restore_config();
        let actions = &mut self.actions;
        self.clients.reload_abandoned(abandoned.generation, &abandoned.text, actions);
        self.reload.drop_others(actions);
        self.end_reload();
    }

    /// With `reload` the workers show why the last reload failed.
    fn show_failure(&mut self) {
        let cause = self.reload.cause().filter(|_| self.reload.settings().reload);
        let Some(cause) = cause.map(last_part) else { return };
        for worker in self.pool.roster().ready() {
            self.actions.send(worker.id, ToWorker::ShowFailure(Some(cause.clone())));
        }
    }

    /// Newer code serves: the workers with the old code, which may have requests, show nothing.
    fn hide_failure(&mut self) {
        let newest = self.reload.rolling_to();
        for worker in self.pool.roster().workers().filter(|it| Some(it.generation) != newest) {
            self.actions.send(worker.id, ToWorker::ShowFailure(None));
        }
    }

    /// A worker serves: it shows what the others do.
    pub(super) fn inform_of_failure(&mut self, worker: WorkerId) {
        let entry = self.pool.roster().get(worker);
        let is_current = entry.is_some_and(|it| {
            it.slot().is_some() && it.is_ready() && it.generation == self.reload.current()
        });
        if is_current
            && self.reload.settings().reload
            && let Some(cause) = self.reload.cause()
        {
            let message = ToWorker::ShowFailure(Some(last_part(cause)));
            self.actions.send(worker, message);
        }
    }

    /// Notifies the init system that a reload is over, whether it has succeeded or failed.
    pub(super) fn end_reload(&mut self) {
        self.send_status();
        // A server that has announced its end is not ready again.
        if !matches!(self.state, MasterState::Delaying { .. }) {
            self.actions.notify(Notification::Ready);
        }
    }

    /// Goes on to the next state, or the next generation, when all workers are available.
    pub(super) fn note_progress(&mut self, now: Instant) {
        let target = self.target();
        let (available, is_reached) = {
            let roster = self.pool.roster();
            (target.count(roster, now), target.is_reached(roster, now))
        };
        self.reload.note_available(available, now);
        if self.reload.take_overcome_cause() {
            self.hide_failure();
        }
        if !is_reached {
            return;
        }
        if self.state == MasterState::Booting {
            if self.purpose == Purpose::Check {
                return self.stop(0, now);
            }
            self.state = MasterState::Serving;
            let app = self.pool.roster().app().to_owned();
            let workers = self.pool.size().workers();
            self.actions.push(Action::Announce { app, workers });
            self.end_reload();
            if self.reload.take_put_off() {
                self.read_settings(now);
            }
        }
        if self.reload.finish(&mut self.actions) {
            let (current, workers) = (self.reload.current(), self.pool.size().workers());
            self.tally.end_reload(current, ChangeOutcome::Done, None, now);
            self.clients.reload_done(current, workers, &mut self.actions);
            self.reload.drop_others(&mut self.actions);
            self.with_pool(now, |pool, context, actions| pool.reconcile_molds(context, actions));
            self.end_reload();
        }
    }
}

/// The last part of a cause that a message has room for: it has the error itself.
fn last_part(cause: &str) -> String {
    let begin = cause.len().saturating_sub(MAX_CAUSE);
    let begin = (begin..cause.len()).find(|at| cause.is_char_boundary(*at));
    begin.map_or_else(String::new, |begin| cause[begin..].to_owned())
}
