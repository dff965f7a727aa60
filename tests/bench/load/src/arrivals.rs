//! When the next request is due and whether it is heavy. No I/O, no clock of its own.

use std::time::{Duration, Instant};

use crate::random::Random;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weight {
    Light,
    Heavy,
}

impl Weight {
    /// Heavy once in `every` times.
    pub fn draw(random: &mut Random, every: u32) -> Self {
        if random.one_in(every) { Self::Heavy } else { Self::Light }
    }
}

/// One arrival: when it was due, which counts as its start, and which path it asks for.
#[derive(Clone, Copy)]
pub struct Request {
    pub due: Instant,
    pub weight: Weight,
}

/// A Poisson process: independent, exponentially distributed gaps.
pub struct Arrivals {
    next: Instant,
    /// Arrivals per second.
    rate: f64,
    heavy_every: u32,
    random: Random,
}

impl Arrivals {
    pub fn new(start: Instant, rate: f64, heavy_every: u32, seed: u64) -> Self {
        let mut arrivals = Self { next: start, rate, heavy_every, random: Random::new(seed) };
        arrivals.advance();
        arrivals
    }

    /// When the next request is due.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// The next request that was due before `now`, if there is one.
    pub fn due(&mut self, now: Instant) -> Option<Request> {
        if self.next >= now {
            return None;
        }
        let due = self.next;
        let weight = Weight::draw(&mut self.random, self.heavy_every);
        self.advance();
        Some(Request { due, weight })
    }

    fn advance(&mut self) {
        let gap = -(1.0 - self.random.uniform()).ln() / self.rate;
        self.next += Duration::from_secs_f64(gap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrives_at_the_rate_and_in_the_mixture_asked_for() {
        let start = Instant::now();
        let end = start + Duration::from_secs(1000);
        let mut arrivals = Arrivals::new(start, 100.0, 20, 7);
        let (mut light, mut heavy) = (0, 0);
        while let Some(request) = arrivals.due(end) {
            match request.weight {
                Weight::Light => light += 1,
                Weight::Heavy => heavy += 1,
            }
        }
        // Five standard deviations of 100,000 Poisson arrivals, of which 5,000 are heavy.
        assert!((98_400..=101_600).contains(&(light + heavy)), "{light} + {heavy}");
        assert!((4_650..=5_350).contains(&heavy), "{heavy}");
    }
}
