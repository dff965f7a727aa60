//! Owns the number of workers that the server is to have. Called by `reload.rs` and
//! the master, through `pool.rs`.

use log::Level;
use monoceros_config::MOST_WORKERS;
use monoceros_wire::control::PoolChange;
use monoceros_wire::message::ToWorker;

use crate::master::decide::action::Actions;
use crate::master::decide::roster::Roster;

/// The number of workers: the setting, changed by TTIN, TTOU and WINCH.
#[derive(Debug)]
pub(crate) struct PoolSize {
    workers: u16,
    /// The number before WINCH withdrew the workers.
    withdrawn: Option<u16>,
}

impl PoolSize {
    /// A pool that starts with this number.
    pub(crate) fn new(workers: u16) -> Self {
        Self { workers, withdrawn: None }
    }

    /// The number of workers that the server is to have; 0 while they are withdrawn.
    pub(crate) fn workers(&self) -> u16 {
        self.workers
    }

    /// The number, if the successor knows another one. `None` while the workers are
    /// withdrawn: a withdrawal is not passed on.
    pub(crate) fn unless(&self, known: u16) -> Option<u16> {
        Some(self.workers).filter(|workers| *workers != known && *workers > 0)
    }

    /// Sets the number and sends it to all workers: a worker that is the only one takes
    /// connections that it would leave to others otherwise.
    pub(crate) fn set(&mut self, workers: u16, roster: &Roster, actions: &mut Actions) {
        if workers == self.workers {
            return;
        }
        self.workers = workers;
        for worker in roster.workers() {
            actions.send(worker.id, ToWorker::Workers(workers));
        }
    }

    /// Adds one worker (TTIN).
    pub(crate) fn add(&mut self, roster: &Roster, actions: &mut Actions) {
        self.resize(self.workers.saturating_add(1), roster, actions);
    }

    /// Removes one worker (TTOU).
    pub(crate) fn remove(&mut self, roster: &Roster, actions: &mut Actions) {
        self.resize(self.workers.saturating_sub(1), roster, actions);
    }

    /// The number after a change that an operator asks for, or why it cannot be.
    pub(crate) fn after(&self, change: PoolChange) -> Result<u16, String> {
        let after = match change {
            PoolChange::More(count) => self.workers.checked_add(count),
            PoolChange::Fewer(count) => self.workers.checked_sub(count),
            PoolChange::To(count) => Some(count),
        };
        after.filter(|after| (1..=MOST_WORKERS).contains(after)).ok_or_else(|| {
            format!("a server has 1 to {MOST_WORKERS} workers; this one has {}", self.workers)
        })
    }

    /// Sets the number as an operator has asked for it: 1 at least.
    pub(crate) fn resize(&mut self, workers: u16, roster: &Roster, actions: &mut Actions) {
        if self.withdrawn.is_some() && workers == 0 {
            return;
        }
        self.withdrawn = None;
        self.set(workers.clamp(1, MOST_WORKERS), roster, actions);
        actions.log(Level::Info, format!("{} workers asked for", self.workers));
    }

    /// Withdraws all workers (WINCH). The listeners stay open, so connections wait for
    /// the workers to come back.
    pub(crate) fn withdraw(&mut self, roster: &Roster, actions: &mut Actions) {
        if self.withdrawn.is_some() {
            return;
        }
        self.withdrawn = Some(self.workers);
        self.set(0, roster, actions);
        actions.log(Level::Info, "withdrawing the workers; a reload brings them back");
    }

    /// Brings withdrawn workers back.
    pub(crate) fn restore(&mut self, roster: &Roster, actions: &mut Actions) {
        if let Some(before) = self.withdrawn.take() {
            self.set(before, roster, actions);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::decide::state::Purpose;

    #[test]
    fn ttou_leaves_one_worker_and_ttin_ends_a_withdrawal() {
        let (roster, mut actions) = (Roster::default(), Actions::new(Purpose::Serve));
        let mut pool = PoolSize::new(2);
        pool.remove(&roster, &mut actions);
        pool.remove(&roster, &mut actions);
        assert_eq!(pool.workers(), 1);
        pool.withdraw(&roster, &mut actions);
        assert_eq!((pool.workers(), pool.unless(1)), (0, None));
        pool.remove(&roster, &mut actions);
        assert_eq!(pool.workers(), 0, "there is none to remove");
        pool.add(&roster, &mut actions);
        pool.restore(&roster, &mut actions);
        assert_eq!((pool.workers(), pool.unless(2)), (1, Some(1)));
    }

    #[test]
    fn a_reload_brings_back_as_many_as_were_withdrawn() {
        let (roster, mut actions) = (Roster::default(), Actions::new(Purpose::Serve));
        let mut pool = PoolSize::new(3);
        pool.withdraw(&roster, &mut actions);
        pool.withdraw(&roster, &mut actions);
        pool.restore(&roster, &mut actions);
        assert_eq!(pool.workers(), 3);
    }

    #[test]
    fn a_change_leads_to_a_number_that_a_server_can_have() {
        let pool = PoolSize::new(3);
        assert_eq!(pool.after(PoolChange::More(2)), Ok(5));
        assert_eq!(pool.after(PoolChange::Fewer(2)), Ok(1));
        assert_eq!(pool.after(PoolChange::To(8)), Ok(8));
        for change in [
            PoolChange::Fewer(3),
            PoolChange::Fewer(4),
            PoolChange::To(0),
            PoolChange::To(MOST_WORKERS + 1),
            PoolChange::More(u16::MAX),
        ] {
            let refused = pool.after(change).unwrap_err();
            assert!(refused.ends_with("this one has 3"), "{refused}");
        }
    }

    #[test]
    fn no_more_than_the_table_allows() {
        let (roster, mut actions) = (Roster::default(), Actions::new(Purpose::Serve));
        let mut pool = PoolSize::new(MOST_WORKERS);
        pool.add(&roster, &mut actions);
        assert_eq!(pool.workers(), MOST_WORKERS);
    }
}
