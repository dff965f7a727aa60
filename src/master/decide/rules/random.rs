//! Random numbers that spread events of many workers over time. They are not fit for
//! secrets.

use std::time::Duration;

/// A generator (splitmix64); the same seed gives the same numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `most`.
    pub(crate) fn up_to(&mut self, most: u64) -> u64 {
        match most.checked_add(1) {
            Some(count) => self.next() % count,
            None => self.next(),
        }
    }

    /// A length from 0 to `most`, in whole milliseconds.
    pub(crate) fn length(&mut self, most: Duration) -> Duration {
        Duration::from_millis(self.up_to(u64::try_from(most.as_millis()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_in_their_range_and_differ() {
        let mut random = Random(7);
        let numbers: Vec<_> = (0..200).map(|_| random.up_to(3)).collect();
        assert!((0..=3).all(|number| numbers.contains(&number)));
        assert_eq!(random.up_to(0), 0);
        assert_eq!(random.length(Duration::ZERO), Duration::ZERO);
        random.up_to(u64::MAX);
    }
}
