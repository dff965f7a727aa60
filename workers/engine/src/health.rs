//! Whether this worker serves: what its health path responds. Written by the engine, read by the
//! decision on a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// The application is not loaded yet.
const STARTING: u8 = 0;
/// The worker serves.
const SERVING: u8 = 1;
/// The worker drains, or the server is about to end.
const LEAVING: u8 = 2;

/// Whether a worker serves. Copies share it.
#[derive(Clone, Debug, Default)]
pub struct WorkerHealth(Arc<AtomicU8>);

impl WorkerHealth {
    /// Whether clients may be sent to this worker, and will be for a while.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SERVING
    }

    /// The worker begins to serve, unless it is leaving already.
    pub(crate) fn begin(&self) {
        self.0.compare_exchange(STARTING, SERVING, Ordering::Relaxed, Ordering::Relaxed).ok();
    }

    /// The worker drains, or will soon.
    pub(crate) fn leave(&self) {
        self.0.store(LEAVING, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_serves_between_its_start_and_its_end() {
        let health = WorkerHealth::default();
        let copy = health.clone();
        assert!(!copy.serves());
        health.begin();
        assert!(copy.serves());
        health.leave();
        health.begin();
        assert!(!copy.serves());
    }
}
