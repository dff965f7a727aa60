//! What an operator asks for by a signal. Owns nothing. Called by the states of the master.

use std::time::Instant;

use log::Level;
use monoceros_config::SignalCommand;

use super::Master;
use crate::master::decide::action::Action;
use crate::master::decide::state::MasterState;

impl Master {
    /// Carries out a signal that does not end the master.
    pub(super) fn adjust(&mut self, command: SignalCommand, now: Instant) {
        let (size, roster) = self.pool.size_and_roster();
        match command {
            SignalCommand::Reload => self.ask_reload(now),
            SignalCommand::Add => size.add(roster, &mut self.actions),
            SignalCommand::Remove => size.remove(roster, &mut self.actions),
            SignalCommand::Reopen => self.reopen(),
            SignalCommand::Upgrade => {
                if let Err(reason) = self.upgrade(now) {
                    self.actions.log(Level::Warn, reason);
                }
            }
            SignalCommand::Withdraw if self.state == MasterState::Serving => {
                size.withdraw(roster, &mut self.actions);
            }
            SignalCommand::Withdraw | SignalCommand::Drain | SignalCommand::Stop => {}
        }
    }

    /// The log files are opened again, by the master and by all workers.
    pub(super) fn reopen(&mut self) {
        self.actions.push(Action::Reopen);
        self.pool.reopen_logs(&mut self.actions);
    }
}
