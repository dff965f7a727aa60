//! How things are, in one line for people: what `systemctl status` shows.

use monoceros_wire::scoreboard::Losses;

use crate::master::decide::Master;
use crate::master::decide::action::Notice;
use crate::master::decide::state::MasterState;

/// What the status counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    /// Requests that workers which are gone have answered.
    answered: u64,
    /// What such workers have given up by their own decision.
    losses: Losses,
    /// Requests that are being run.
    pub(crate) running: usize,
    /// The line that was told last.
    told: String,
}

impl Totals {
    /// Adds what a worker that is gone has answered and given up.
    pub(crate) fn add(&mut self, requests: u64, losses: &Losses) {
        self.answered = self.answered.saturating_add(requests);
        add(&mut self.losses, losses);
    }
}

impl Master {
    /// Tells the init system how things are, if that has changed.
    pub(super) fn report_status(&mut self) {
        let line = self.status();
        if self.totals.told != line {
            self.totals.told.clone_from(&line);
            self.notify(Notice::Status(line));
        }
    }

    /// Tells it even if nothing has changed.
    pub(super) fn tell_status(&mut self) {
        self.totals.told.clear();
        self.report_status();
    }

    /// What all workers have given up by their own decision.
    pub(super) fn losses(&self) -> Losses {
        let mut sum = self.totals.losses;
        self.roster.workers().for_each(|worker| add(&mut sum, &worker.observed.losses));
        sum
    }

    /// Such as `gen=2: 4 of 4 workers ready, 1 request running, 1234 answered`.
    pub(super) fn status(&self) -> String {
        let ready = self.roster.ready().count();
        let living = self.roster.workers().map(|worker| worker.observed.requests);
        // The worker may have written any number there.
        let answered = living.fold(self.totals.answered, u64::saturating_add);
        let (generation, workers, running) = (self.current, self.workers, self.totals.running);
        let mut line = format!(
            "gen={generation}: {ready} of {workers} workers ready, {running} requests running, \
             {answered} answered"
        );
        if let Some(rollout) = &self.rollout {
            line += &format!("; reloading to gen={}", rollout.generation);
        } else if let Some(failed) = &self.failed_reload {
            line += &format!("; reload failed: {failed}");
        }
        if let MasterState::Delaying { .. } = self.state {
            line += "; stopping after shutdown-delay";
        }
        if self.successor.is_some() && self.state == MasterState::Serving {
            line += "; upgrading";
        }
        if let Some(failed) = &self.failed_upgrade {
            line += &format!("; upgrade failed: {failed}");
        }
        line
    }
}

fn add(sum: &mut Losses, more: &Losses) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.saturating_add(*more));
}
