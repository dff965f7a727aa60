//! When a worker has served long enough. Pure.

use std::time::Instant;

use crate::master::decide::roster::Observations;
use crate::master::decide::sample::WorkerSample;

/// A worker is too large when it is found so this many times in a row.
const HEAVY: u8 = 3;

/// Why a worker is due to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// It has answered as many requests as it was allotted.
    Requests,
    /// It has lived for as long as it was allotted.
    Lifetime,
    /// It has had more memory than it may, in bytes, for some time.
    Memory(u64),
}

/// Counts how many times in a row a worker was too large.
pub(crate) fn weigh(heavy: u8, memory: Option<u64>, limit: u64) -> u8 {
    if limit > 0 && memory.is_some_and(|bytes| bytes > limit) { heavy.saturating_add(1) } else { 0 }
}

/// Says whether a worker is due.
pub(crate) fn judge(observed: &Observations, sample: &WorkerSample, now: Instant) -> Option<Due> {
    if observed.most_requests.is_some_and(|most| sample.requests >= most) {
        Some(Due::Requests)
    } else if observed.due_at.is_some_and(|at| at <= now) {
        Some(Due::Lifetime)
    } else if observed.heavy >= HEAVY {
        sample.memory.map(Due::Memory)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_due_for_one_of_three_reasons() {
        let now = Instant::now();
        let sample = WorkerSample { requests: 10, memory: Some(7), ..WorkerSample::default() };
        let due = |observed: &Observations| judge(observed, &sample, now);
        assert_eq!(due(&Observations::default()), None);
        assert_eq!(due(&Observations { most_requests: Some(11), ..Observations::default() }), None);
        let requests = Observations { most_requests: Some(10), ..Observations::default() };
        assert_eq!(due(&requests), Some(Due::Requests));
        assert_eq!(
            due(&Observations { due_at: Some(now), ..Observations::default() }),
            Some(Due::Lifetime)
        );
        assert_eq!(due(&Observations { heavy: 2, ..Observations::default() }), None);
        assert_eq!(
            due(&Observations { heavy: 3, ..Observations::default() }),
            Some(Due::Memory(7))
        );
    }

    #[test]
    fn memory_must_be_too_much_several_times_in_a_row() {
        assert_eq!(weigh(1, Some(101), 100), 2);
        assert_eq!(weigh(2, Some(100), 100), 0);
        assert_eq!(weigh(2, None, 100), 0);
        assert_eq!(weigh(2, Some(u64::MAX), 0), 0);
        assert_eq!(weigh(u8::MAX, Some(101), 100), u8::MAX);
    }
}
