//! Quantiles of times.

use std::time::Duration;

/// Times in ascending order.
pub struct Sorted(Vec<Duration>);

impl Sorted {
    pub fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// In milliseconds, by nearest rank; 0 of nothing.
    pub fn quantile(&self, q: f64) -> f64 {
        let rank = (q * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_nearest_rank() {
        let sorted = Sorted::new((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!(sorted.quantile(0.50), 50.0);
        assert_eq!(sorted.quantile(0.99), 99.0);
        assert_eq!(sorted.quantile(1.0), 100.0);
        assert_eq!(Sorted::new(Vec::new()).quantile(0.99), 0.0);
    }
}
