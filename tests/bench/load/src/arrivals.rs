//! When the next request is due and whether it is heavy. No I/O, no clock of its own.

use std::time::{Duration, Instant};

#[derive(Clone, Copy)]
pub enum Weight {
    Light,
    Heavy,
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
    rate: f64,
    heavy_every: u32,
    random: u64,
}

impl Arrivals {
    pub fn new(start: Instant, rate: f64, heavy_every: u32, seed: u64) -> Self {
        // An odd constant keeps seed 0 away from the one state that xorshift cannot leave.
        let random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut arrivals = Self { next: start, rate, heavy_every, random };
        arrivals.advance();
        arrivals
    }

    /// The next request that was due before `now`, if there is one.
    pub fn due(&mut self, now: Instant) -> Option<Request> {
        if self.next >= now {
            return None;
        }
        let due = self.next;
        let heavy = self.uniform() * f64::from(self.heavy_every) < 1.0;
        self.advance();
        Some(Request { due, weight: if heavy { Weight::Heavy } else { Weight::Light } })
    }

    fn advance(&mut self) {
        let gap = -(1.0 - self.uniform()).ln() / self.rate;
        self.next += Duration::from_secs_f64(gap);
    }

    /// Uniform in [0, 1), by xorshift64*.
    fn uniform(&mut self) -> f64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let bits = self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11;
        bits as f64 / (1u64 << 53) as f64
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
