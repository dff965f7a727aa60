//! How many application threads are at work at once. Pure.
//!
//! Threads that share one interpreter lock cannot compute at the same time. A second
//! computing thread only takes the lock from the first in the middle of its work, and
//! each lock of the application that is held then makes both wait for each other (a
//! lock convoy). A second thread is useful while the first waits for a database, a file
//! or the clock. The processor time of the threads shows which of both an application
//! does: together they can use one processor's time. When they use it, more threads
//! gain nothing; when they use less and requests wait, more threads are needed.
//!
//! Code that computes without the lock (compression, hashes) uses more than one
//! processor's time. Now and then one thread more is tried, to find out.

/// The share of one processor's time below which threads are waiting, when
/// requests wait for them.
const IDLE_SHARE: f64 = 0.85;

/// The share above which the lock is in use all the time.
const FULL_SHARE: f64 = 0.92;

/// The share that the rule aims at.
const GOAL_SHARE: f64 = 0.95;

/// A thread that gets less of a processor than this, while the lock is in use
/// all the time, waits for the lock.
const CROWDED_SHARE: f64 = 0.7;

/// What a further thread must add to the processor time in use to be kept.
const PROBE_GAIN: f64 = 0.25;

/// How many windows in succession must show waiting threads: on a busy machine, a
/// single window looks the same.
const SURE: u32 = 2;

/// How long a number of threads that was found too low is not tried again, at
/// first and at most, in microseconds.
const HOLD_US: (u64, u64) = (50_000, 10_000_000);

/// The factor by which that time grows.
const HOLD_GROWTH: u64 = 4;

/// How long it takes until a further thread is tried, at first and at most, in
/// microseconds.
const PROBE_US: (u64, u64) = (500_000, 16_000_000);

/// The measured values of a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PaceWindow {
    /// Its end, in microseconds of the monotonic clock.
    pub(crate) now_us: u64,
    /// Its length in microseconds.
    pub(crate) length_us: u64,
    /// The processor time of all application threads in it, in microseconds.
    pub(crate) cpu_us: u64,
    /// Requests that ended in it.
    pub(crate) finished: u32,
    /// Requests waited for a thread all the time, and no thread for a request.
    pub(crate) is_pressed: bool,
    /// A thread that is at work could run now.
    pub(crate) is_computing: bool,
}

/// What the rule knows of the application.
#[derive(Debug)]
pub(crate) struct Pace {
    threads: u32,
    /// Processors that this process may use.
    processors: u32,
    permits: u32,
    /// Fewer than `permits` are not tried before this time.
    hold_until_us: u64,
    hold_us: u64,
    /// Windows in succession that showed waiting threads.
    waits: u32,
    /// The number that was just lowered: if threads wait now, a lower number is too
    /// low.
    lowered_from: Option<u32>,
    /// Processor time in use and requests a microsecond, with one thread fewer:
    /// one is being tried.
    probe: Option<(f64, f64)>,
    probe_at_us: u64,
    probe_us: u64,
}

impl Pace {
    /// Begins with one thread: the first windows show whether it waits.
    pub(crate) fn new(threads: u32, processors: u32) -> Self {
        Self {
            threads,
            processors,
            permits: 1,
            hold_until_us: 0,
            hold_us: HOLD_US.0,
            waits: 0,
            lowered_from: None,
            probe: None,
            probe_at_us: 0,
            probe_us: PROBE_US.0,
        }
    }

    /// Judges a window. Returns how many threads may be at work from now on.
    #[allow(clippy::cast_precision_loss)] // Some milliseconds, and as many requests.
    pub(crate) fn judge(&mut self, window: PaceWindow) -> u32 {
        let share = window.cpu_us as f64 / window.length_us as f64;
        let rate = f64::from(window.finished) / window.length_us as f64;
        let is_waiting = share < IDLE_SHARE && window.is_pressed && !window.is_computing;
        self.waits = if is_waiting { self.waits + 1 } else { 0 };
        if let Some(before) = self.probe.take() {
            self.end_probe(before, (share, rate), window.now_us);
        } else if self.waits >= SURE || (is_waiting && self.lowered_from.is_some()) {
            self.raise(share, window.now_us);
        } else if share >= FULL_SHARE {
            self.lowered_from = None;
            if share / f64::from(self.permits) < CROWDED_SHARE {
                self.lower(window.now_us);
            } else if window.is_pressed {
                self.begin_probe((share, rate), window.now_us);
            }
        }
        self.permits
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Positive and bounded.
    fn raise(&mut self, share: f64, now_us: u64) {
        let needed = f64::from(self.permits) * GOAL_SHARE / share.max(0.001);
        let needed = needed.ceil().min(f64::from(self.threads)) as u32;
        let before = self.lowered_from.take();
        let least = before.unwrap_or(0).max(self.permits + 1);
        self.permits = needed.max(least).min(self.threads);
        self.hold_us = match before {
            Some(_) => (self.hold_us * HOLD_GROWTH).min(HOLD_US.1),
            None => HOLD_US.0,
        };
        self.hold_until_us = now_us + self.hold_us;
    }

    fn lower(&mut self, now_us: u64) {
        if self.permits > 1 && now_us >= self.hold_until_us {
            self.lowered_from = Some(self.permits);
            self.permits /= 2;
            self.probe_at_us = now_us + self.probe_us;
        }
    }

    fn begin_probe(&mut self, seen: (f64, f64), now_us: u64) {
        if self.probe_at_us == 0 {
            self.probe_at_us = now_us + self.probe_us;
        }
        let most = self.threads.min(self.processors);
        if self.permits < most && now_us >= self.probe_at_us {
            self.permits += 1;
            self.probe = Some(seen);
        }
    }

    fn end_probe(&mut self, before: (f64, f64), after: (f64, f64), now_us: u64) {
        if after.0 >= before.0 + PROBE_GAIN && after.1 > before.1 {
            self.probe_us = PROBE_US.0;
            self.hold_until_us = now_us + HOLD_US.1;
        } else {
            self.permits -= 1;
            self.probe_us = (self.probe_us * 2).min(PROBE_US.1);
        }
        self.probe_at_us = now_us + self.probe_us;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP_US: u64 = 10_000;

    /// An application whose requests compute and wait for so long, in
    /// microseconds, and of which `parallel` of the computing needs no lock.
    struct SimulatedApplication {
        compute: f64,
        wait: f64,
        parallel: f64,
    }

    impl SimulatedApplication {
        /// Processor time in use by so many threads, as a share of one processor.
        fn share(&self, permits: u32, processors: u32) -> f64 {
            let each = self.compute / (self.compute + self.wait);
            let most = if self.parallel > 0.0 { f64::from(processors) } else { 1.0 };
            (each * f64::from(permits)).min(most)
        }

        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        fn run(&self, pace: &mut Pace, from_us: u64, windows: u64) -> Vec<u32> {
            let mut seen = Vec::new();
            for number in 0..windows {
                let share = self.share(pace.permits, pace.processors);
                let window = PaceWindow {
                    now_us: from_us + number * STEP_US,
                    length_us: STEP_US,
                    cpu_us: (share * STEP_US as f64) as u64,
                    finished: (share * STEP_US as f64 / self.compute) as u32,
                    is_pressed: true,
                    is_computing: share > 0.95,
                };
                seen.push(pace.judge(window));
            }
            seen
        }
    }

    fn mean(seen: &[u32]) -> f64 {
        seen.iter().map(|&one| f64::from(one)).sum::<f64>() / seen.len() as f64
    }

    #[test]
    fn one_thread_computes() {
        let django = SimulatedApplication { compute: 134.0, wait: 0.0, parallel: 0.0 };
        let mut pace = Pace::new(8, 2);
        let seen = django.run(&mut pace, 0, 1000);
        assert!(mean(&seen) < 1.02, "{}", mean(&seen));
        assert!(seen.iter().all(|&one| one <= 2));
    }

    #[test]
    fn requests_that_only_wait_get_all_threads_at_once() {
        let sleeping = SimulatedApplication { compute: 50.0, wait: 10_000.0, parallel: 0.0 };
        let mut pace = Pace::new(16, 2);
        assert!(sleeping.run(&mut pace, 0, 1000)[1..].iter().all(|&one| one == 16));
    }

    #[test]
    fn requests_that_wait_and_compute_get_as_many_threads_as_the_lock_can_serve() {
        let database = SimulatedApplication { compute: 300.0, wait: 1_000.0, parallel: 0.0 };
        for threads in [4, 16] {
            let mut pace = Pace::new(threads, 2);
            let mean = mean(&database.run(&mut pace, 0, 1000));
            assert!((3.8..6.0).contains(&mean), "{threads}: {mean}");
        }
    }

    #[test]
    fn a_number_that_proves_too_low_is_taken_back_at_once_and_seldom_tried_again() {
        let database = SimulatedApplication { compute: 300.0, wait: 1_000.0, parallel: 0.0 };
        let mut pace = Pace::new(16, 2);
        let seen = database.run(&mut pace, 0, 1000);
        let tries = seen.windows(2).filter(|pair| pair[1] < pair[0]).count();
        assert!((1..=6).contains(&tries), "in 10 s: {tries}");
    }

    #[test]
    fn the_number_of_threads_follows_the_application() {
        let sleeping = SimulatedApplication { compute: 50.0, wait: 10_000.0, parallel: 0.0 };
        let computing = SimulatedApplication { compute: 134.0, wait: 0.0, parallel: 0.0 };
        let mut pace = Pace::new(16, 2);
        sleeping.run(&mut pace, 0, 100);
        let seen = computing.run(&mut pace, 1_000_000, 100);
        assert_eq!(seen[50], 1, "{seen:?}");
        assert_eq!(sleeping.run(&mut pace, 2_000_000, 2), [1, 16]);
    }

    #[test]
    fn requests_that_compute_without_the_lock_get_every_processor() {
        let hashing = SimulatedApplication { compute: 1_000.0, wait: 0.0, parallel: 1.0 };
        let mut pace = Pace::new(8, 4);
        let seen = hashing.run(&mut pace, 0, 400);
        assert_eq!(seen[399], 4, "{seen:?}");
        let mut pace = Pace::new(8, 1);
        assert!(hashing.run(&mut pace, 0, 400).iter().all(|&one| one == 1));
    }

    #[test]
    fn a_worker_that_has_little_to_do_changes_nothing() {
        let mut pace = Pace::new(8, 2);
        let window = PaceWindow {
            now_us: 1,
            length_us: STEP_US,
            cpu_us: 10,
            finished: 1,
            is_pressed: false,
            is_computing: false,
        };
        assert_eq!(pace.judge(window), 1);
        assert_eq!(pace.judge(PaceWindow { is_pressed: true, is_computing: true, ..window }), 1);
        assert_eq!(pace.judge(PaceWindow { is_pressed: true, ..window }), 1);
        assert_eq!(pace.judge(PaceWindow { is_pressed: true, ..window }), 8);
    }
}
