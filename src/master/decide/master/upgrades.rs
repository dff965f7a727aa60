//! Upgrades: a successor takes over from this master, or this master from a predecessor.
//! Owns nothing. Called by the states of the master; `decide/succession.rs` has both ends.

use std::time::Instant;

use log::Level;
use monoceros_wire::Generation;
use monoceros_wire::control::ControlReply;
use monoceros_wire::gunicorn::ServerHook;
use monoceros_wire::report::{ChangeReport, Totals};

use super::Master;
use crate::master::decide::action::{Action, Notification, WorkerSignal};
use crate::master::decide::commands::REPLACED;
use crate::master::decide::exit_reason::ExitReason;
use crate::master::decide::roster::LeaveReason;
use crate::master::decide::state::MasterState;
use crate::master::decide::tally::ChangeOutcome;

impl Master {
    /// Starts a successor, or returns why it cannot.
    pub(super) fn upgrade(&mut self, now: Instant) -> Result<(), &'static str> {
        if self.state != MasterState::Serving {
            return Err("cannot upgrade: the server does not serve yet");
        }
        match self.find_hook_mold() {
            Some(mold) => {
                self.succession.announce()?;
                self.ask_hook(mold, ServerHook::PreExec, now);
            }
            None => self.start_successor(now)?,
        }
        self.tally.begin_upgrade(now);
        Ok(())
    }

    /// The hook that comes before a successor has ended, or is lost: the successor is started.
    pub(super) fn start_announced(&mut self, now: Instant) {
        if self.succession.take_announced()
            && let Err(reason) = self.start_successor(now)
        {
            self.actions.log(Level::Warn, reason);
        }
    }

    fn start_successor(&mut self, now: Instant) -> Result<(), &'static str> {
        let settings = self.reload.settings();
        let (known, until) = (settings.workers, now + settings.upgrade_timeout);
        let newest = self.reload.newest();
        self.succession.start(self.pool.size(), known, newest, until, &mut self.actions)
    }

    /// The successor serves: everything is passed on to it.
    pub(super) fn hand_over(&mut self, now: Instant) {
        let Some(successor) = self.succession.complete() else { return };
        self.actions.log(Level::Info, "upgraded: the new master serves, this one drains");
        if self.reload.take_put_off() {
            self.actions.push(Action::SignalSuccessor(WorkerSignal::Hup));
        }
        let workers = self.pool.size().unless(successor.workers);
        let newest = self.reload.newest();
        self.tally.supersede_reloads(Generation(newest.0.saturating_add(1)), now);
        self.tally.end_upgrade(ChangeOutcome::Done, newest, None, now);
        let tally = Box::new(self.tally.snapshot());
        self.actions.push(Action::PassOn { workers, tally });
        // Comes after `PassOn`: when the client reads this, the successor has everything.
        let reply = ControlReply::Upgraded { pid: successor.pid };
        self.clients.upgrade_ended(&reply, &mut self.actions);
        self.clients.dismiss_all(REPLACED, &mut self.actions);
        self.state = MasterState::Draining;
        self.drain_workers(LeaveReason::Retired, now);
        self.actions.push(Action::CloseListeners);
    }

    /// The successor is gone before it has taken over.
    pub(super) fn lose_successor(&mut self, text: &str, now: Instant) {
        if !self.succession.note_ended() {
            return;
        }
        self.tally.end_upgrade(ChangeOutcome::Failed, self.reload.newest(), Some(text), now);
        let line = format!("upgrade failed, all goes on as before: {text}");
        self.actions.log(Level::Error, line);
        self.clients.upgrade_ended(&ControlReply::failed(text), &mut self.actions);
        self.succession.fail(text);
        self.send_status();
        self.take_up_reload(now);
    }

    /// Ends a successor that does not serve in time, or does not end in time.
    pub(super) fn note_successor_deadline(&mut self, now: Instant) {
        if !self.succession.note_deadline(now, &mut self.actions) {
            return;
        }
        let limit = self.settings().upgrade_timeout.as_secs();
        let text = format!("the new master does not serve within {limit} s");
        self.tally.end_upgrade(ChangeOutcome::Failed, self.reload.newest(), Some(&text), now);
        self.clients.upgrade_ended(&ControlReply::failed(&text), &mut self.actions);
        self.actions.log(Level::Error, format!("{text}; ending it"));
        self.succession.fail(&text);
        self.send_status();
        self.succession.dismiss(now, &mut self.actions);
    }

    /// A worker that a predecessor has started has ended: the upgrade has replaced it.
    pub(super) fn note_former_end(&mut self, counts: &Totals, draining: u64) {
        self.status.remove_draining(draining);
        self.tally.note_exit(ExitReason::Upgrade);
        self.tally.add(counts);
    }

    /// The predecessor has passed everything on, or is gone.
    pub(super) fn take_over(
        &mut self,
        workers: Option<u16>,
        totals: &Totals,
        changes: Vec<ChangeReport>,
        draining: u64,
    ) {
        self.status.add_draining(draining);
        self.tally.take_over(totals, changes);
        self.succession.take_over(&mut self.actions);
        if let Some(workers) = workers {
            let (size, roster) = self.pool.size_and_roster();
            size.resize(workers, roster, &mut self.actions);
        }
        // Notifications before the takeover went to no init system, so the state is sent again.
        // The watchdog counts from the last notification of the predecessor.
        if self.watchdog.is_set() {
            self.notify_alive();
        }
        if let MasterState::Delaying { .. } = self.state {
            self.notify_delay();
        } else if self.reload.rolling_to().is_some() {
            self.actions.notify(Notification::Reloading);
        } else if self.state == MasterState::Serving {
            self.end_reload();
        }
    }
}
