//! The state of the server in one line for people, which `systemctl status` shows. Owns
//! the totals of workers that have ended, and the line that was sent last. Called by the
//! master only.

use monoceros_wire::Generation;
use monoceros_wire::scoreboard::Losses;

use crate::master::decide::action::{Actions, Notification};
use crate::master::decide::roster::Roster;

/// The totals, and the line that the init system was sent last.
#[derive(Clone, Debug, Default)]
pub(crate) struct StatusLine {
    /// Requests that ended workers have responded to.
    answered: u64,
    /// What ended workers have given up by their own decision.
    losses: Losses,
    /// Requests that run now.
    running: usize,
    /// What concerns the operator about certificates.
    concern: Option<String>,
    /// The line that was sent last.
    sent: String,
}

/// What the line shows beside the totals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatusFacts<'a> {
    /// The generation that serves.
    pub(crate) generation: Generation,
    /// The wanted number of workers.
    pub(crate) workers: u16,
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
    /// Adds the figures of a worker that has ended.
    pub(crate) fn add_ended(&mut self, requests: u64, losses: &Losses) {
        self.answered = self.answered.saturating_add(requests);
        add(&mut self.losses, losses);
    }

    /// Sets the number of requests that run now.
    pub(crate) fn set_running(&mut self, running: usize) {
        self.running = running;
    }

    /// Sets what concerns the operator about certificates, if anything does.
    pub(crate) fn set_concern(&mut self, concern: Option<String>) {
        self.concern = concern;
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

    /// What all workers, ended and living, have given up by their own decision.
    pub(crate) fn losses(&self, roster: &Roster) -> Losses {
        let mut sum = self.losses;
        roster.workers().for_each(|worker| add(&mut sum, &worker.observed.losses));
        sum
    }

    /// Such as `gen=2: 4 of 4 workers ready, 1 requests running, 1234 answered`.
    pub(crate) fn compose(&self, facts: &StatusFacts) -> String {
        let ready = facts.roster.ready().count();
        let living = facts.roster.workers().map(|worker| worker.observed.requests);
        // The sum saturates: a worker may have written any number to its scoreboard.
        let answered = living.fold(self.answered, u64::saturating_add);
        let StatusFacts { generation, workers, .. } = facts;
        let running = self.running;
        let mut line = format!(
            "gen={generation}: {ready} of {workers} workers ready, {running} requests running, \
             {answered} answered"
        );
        if let Some(generation) = facts.rolling_to {
            line += &format!("; reloading to gen={generation}");
        } else if let Some(failed) = facts.failed_reload {
            line += &format!("; reload failed: {failed}");
        }
        if facts.is_delaying {
            line += "; stopping after shutdown-delay";
        }
        if facts.is_upgrading {
            line += "; upgrading";
        }
        if let Some(failed) = facts.failed_upgrade {
            line += &format!("; upgrade failed: {failed}");
        }
        if let Some(concern) = &self.concern {
            line += &format!("; {concern}");
        }
        line
    }
}

fn add(sum: &mut Losses, more: &Losses) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.saturating_add(*more));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::decide::state::Purpose;

    fn facts(roster: &Roster) -> StatusFacts<'_> {
        StatusFacts {
            generation: Generation(2),
            workers: 4,
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
        status.add_ended(12, &Losses::default());
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
        let (roster, mut status) = (Roster::default(), StatusLine::default());
        status.add_ended(u64::MAX, &Losses::default());
        status.add_ended(1, &Losses::default());
        assert!(status.compose(&facts(&roster)).contains(&u64::MAX.to_string()));
    }
}
