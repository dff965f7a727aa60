//! The state of the server in one line for people, which `systemctl status` shows. Owns
//! the number of requests that run, and the line that was sent last. Called by the
//! master only.

use monoceros_wire::Generation;

use crate::master::decide::action::{Actions, Notification};
use crate::master::decide::roster::Roster;
use crate::master::decide::server_facts::StatusWords;

/// What only the line shows, and the line that the init system was sent last.
#[derive(Clone, Debug, Default)]
pub(crate) struct StatusLine {
    /// Requests that run now.
    running: usize,
    /// Requests that a predecessor's workers have responded to, which still drain.
    draining: u64,
    /// What concerns the operator about certificates.
    concern: Option<String>,
    /// The line that was sent last.
    sent: String,
}

/// What the line shows beside these.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatusFacts<'a> {
    /// The generation that serves.
    pub(crate) generation: Generation,
    /// The wanted number of workers.
    pub(crate) workers: u16,
    /// Requests that ended workers have responded to.
    pub(crate) answered: u64,
    /// The workers that exist.
    pub(crate) roster: &'a Roster,
    /// The generation that replaces it.
    pub(crate) rolling_to: Option<Generation>,
    /// Why the last reload failed, if it did.
    pub(crate) failed_reload: Option<&'a str>,
    /// `shutdown-delay` runs.
    pub(crate) is_delaying: bool,
    /// A successor gets ready.
    pub(crate) is_upgrading: bool,
    /// Why the last upgrade failed, if it did.
    pub(crate) failed_upgrade: Option<&'a str>,
}

impl StatusLine {
    /// Sets the number of requests that run now.
    pub(crate) fn set_running(&mut self, running: usize) {
        self.running = running;
    }

    /// Workers of a predecessor still drain, which have responded to these requests.
    pub(crate) fn add_draining(&mut self, requests: u64) {
        self.draining = self.draining.saturating_add(requests);
    }

    /// Some of these workers have ended. What they have counted is in `StatusFacts::answered` then.
    pub(crate) fn remove_draining(&mut self, requests: u64) {
        self.draining = self.draining.saturating_sub(requests);
    }

    /// Sets what concerns the operator about certificates, if anything does.
    pub(crate) fn set_concern(&mut self, concern: Option<String>) {
        self.concern = concern;
    }

    /// What concerns the operator about certificates, if anything does.
    pub(crate) fn concern(&self) -> Option<&str> {
        self.concern.as_deref()
    }

    /// Sends the line to the init system, if it has changed.
    pub(crate) fn send(&mut self, line: String, actions: &mut Actions) {
        if self.sent != line {
            self.sent.clone_from(&line);
            actions.notify(Notification::Status(line));
        }
    }

    /// Sends the line also if it has not changed.
    pub(crate) fn send_again(&mut self, line: String, actions: &mut Actions) {
        self.sent.clear();
        self.send(line, actions);
    }

    /// Such as `gen=2: 4 of 4 workers ready, 1 requests running, 1234 answered`, with the figures
    /// of the last samples.
    pub(crate) fn compose(&self, facts: &StatusFacts) -> String {
        let living = facts.roster.workers().map(|worker| worker.observed.requests);
        // The sum saturates: a worker may have written any number to its scoreboard.
        let living = living.chain([self.draining]);
        let answered = living.fold(facts.answered, u64::saturating_add);
        self.words(facts).with_figures(self.running as u64, answered)
    }

    /// The line without the figures of workers.
    pub(crate) fn words(&self, facts: &StatusFacts) -> StatusWords {
        let ready = facts.roster.ready().count();
        let StatusFacts { generation, workers, .. } = facts;
        let mut notes = String::new();
        if let Some(generation) = facts.rolling_to {
            notes += &format!("; reloading to gen={generation}");
        } else if let Some(failed) = facts.failed_reload {
            notes += &format!("; reload failed: {failed}");
        }
        if facts.is_delaying {
            notes += "; stopping after shutdown-delay";
        }
        if facts.is_upgrading {
            notes += "; upgrading";
        }
        if let Some(failed) = facts.failed_upgrade {
            notes += &format!("; upgrade failed: {failed}");
        }
        if let Some(concern) = &self.concern {
            notes += &format!("; {concern}");
        }
        StatusWords { head: format!("gen={generation}: {ready} of {workers} workers ready"), notes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::decide::state::Purpose;

    fn facts(roster: &Roster) -> StatusFacts<'_> {
        StatusFacts {
            generation: Generation(2),
            workers: 4,
            answered: 12,
            roster,
            rolling_to: None,
            failed_reload: None,
            is_delaying: false,
            is_upgrading: false,
            failed_upgrade: None,
        }
    }

    #[test]
    fn the_line_has_what_is_under_way_and_what_has_failed() {
        let (roster, mut status) = (Roster::default(), StatusLine::default());
        status.set_running(3);
        let plain = "gen=2: 0 of 4 workers ready, 3 requests running, 12 answered";
        assert_eq!(status.compose(&facts(&roster)), plain);
        let failed = StatusFacts {
            failed_reload: Some("no module"),
            failed_upgrade: Some("late"),
            is_delaying: true,
            is_upgrading: true,
            ..facts(&roster)
        };
        let line = status.compose(&failed);
        assert_eq!(
            line,
            format!(
                "{plain}; reload failed: no module; stopping after shutdown-delay; upgrading; \
                 upgrade failed: late"
            )
        );
        status.set_concern(Some("certificate a expires in 2 days".to_owned()));
        let line = status.compose(&facts(&roster));
        assert_eq!(line, format!("{plain}; certificate a expires in 2 days"));
        status.set_concern(None);
        let rolling = StatusFacts { rolling_to: Some(Generation(3)), ..failed };
        assert!(status.compose(&rolling).contains("answered; reloading to gen=3;"));
    }

    #[test]
    fn it_is_sent_when_it_changes() {
        let (mut status, mut actions) = (StatusLine::default(), Actions::new(Purpose::Serve));
        status.send("a".to_owned(), &mut actions);
        status.send("a".to_owned(), &mut actions);
        assert_eq!(actions.take().len(), 1);
        status.send_again("a".to_owned(), &mut actions);
        assert_eq!(actions.take().len(), 1);
    }

    #[test]
    fn totals_do_not_overflow() {
        use crate::master::decide::roster::{Role, WorkerState};
        use monoceros_wire::Slot;
        use std::time::Instant;
        let (mut roster, status) = (Roster::default(), StatusLine::default());
        let ready = WorkerState::Ready { since: Instant::now() };
        let id = roster.add(Role::Worker(Slot(0)), Generation(1), ready);
        roster.get_mut(id).unwrap().observed.requests = u64::MAX;
        assert!(status.compose(&facts(&roster)).contains(&u64::MAX.to_string()));
    }
}
