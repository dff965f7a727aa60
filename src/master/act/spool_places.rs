//! Owns the memory in which the workers count what bodies of requests take of the disk, and
//! gives each worker its place there. Called by `processes.rs` only.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use monoceros_sys::reason;
use monoceros_wire::spool_count::{SPOOL_PLACES, SpoolCount};

use crate::master::decide::id::WorkerId;

/// The count, and the places of workers.
pub(crate) struct SpoolPlaces {
    /// `None` if the kernel had no memory for it: each worker counts its own bodies then.
    count: Option<Rc<SpoolCount>>,
    taken: BTreeMap<WorkerId, usize>,
}

/// What a worker is given.
#[derive(Debug)]
pub(crate) struct SpoolPlace {
    /// The count of all workers.
    pub(crate) count: Rc<SpoolCount>,
    /// The worker's place in it.
    pub(crate) number: usize,
}

impl SpoolPlaces {
    /// All places are free.
    pub(crate) fn new() -> Self {
        let count = SpoolCount::create().map(Rc::new).inspect_err(|error| {
            let why = reason(error);
            log::warn!("each worker limits the bodies on disk by itself: {why}");
        });
        Self { count: count.ok(), taken: BTreeMap::new() }
    }

    /// Gives a place to a new worker. The places of workers that are not known any more are
    /// free.
    pub(crate) fn take(
        &mut self,
        worker: WorkerId,
        is_known: impl Fn(WorkerId) -> bool,
    ) -> Option<SpoolPlace> {
        let count = self.count.as_ref()?;
        self.taken.retain(|worker, _| is_known(*worker));
        let used: BTreeSet<_> = self.taken.values().copied().collect();
        let number = (0..SPOOL_PLACES).find(|number| !used.contains(number))?;
        count.clear(number);
        self.taken.insert(worker, number);
        Some(SpoolPlace { count: Rc::clone(count), number })
    }

    /// The worker has ended, and its bodies are gone.
    pub(crate) fn release(&mut self, worker: WorkerId) {
        if let (Some(number), Some(count)) = (self.taken.remove(&worker), &self.count) {
            count.clear(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use monoceros_wire::spool_count::WorkerSpoolCount;
    use std::os::fd::AsFd;

    #[test]
    fn a_place_is_given_again_when_its_worker_has_ended() {
        let mut places = SpoolPlaces::new();
        let one = places.take(WorkerId(1), |_| true).unwrap();
        let other = places.take(WorkerId(2), |_| true).unwrap();
        assert_eq!((one.number, other.number), (0, 1));
        let fd = one.count.as_fd().try_clone_to_owned().unwrap();
        let worker = WorkerSpoolCount::adopt(fd, one.number).unwrap();
        worker.add(7);
        assert_eq!(other.count.total(), 7);
        places.release(WorkerId(1));
        assert_eq!(other.count.total(), 0);
        assert_eq!(places.take(WorkerId(3), |_| true).unwrap().number, 0);
    }

    #[test]
    fn the_place_of_a_worker_that_was_never_started_is_free() {
        let mut places = SpoolPlaces::new();
        places.take(WorkerId(1), |_| true).unwrap();
        let is_known = |worker| worker != WorkerId(1);
        assert_eq!(places.take(WorkerId(2), is_known).unwrap().number, 0);
        assert_eq!(places.take(WorkerId(3), is_known).unwrap().number, 1);
    }
}
