//! Lengths of time by their logarithm: four buckets for each doubling, so that
//! a length is known to a quarter, from a microsecond to two hours.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::sole_writer::add;

/// How many buckets there are; the last one has all longer times.
pub(super) const BUCKETS: usize = 128;

/// How many words a histogram takes: the sum, and the buckets.
pub(super) const WORDS: usize = 1 + BUCKETS;

/// How often lengths of time occurred. In JSON it has the sum, and the buckets that are not
/// empty: the end of each in microseconds, and its count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "HistogramForm", into = "HistogramForm")]
pub struct Histogram {
    counts: Vec<u64>,
    sum_us: u64,
}

/// A histogram in JSON. The ends of buckets are part of it, so that another release may have
/// others.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct HistogramForm {
    sum_us: u64,
    buckets: Vec<(u64, u64)>,
}

impl From<Histogram> for HistogramForm {
    fn from(histogram: Histogram) -> Self {
        let counts = histogram.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let buckets = counts.map(|(bucket, count)| (start_of(bucket + 1), *count)).collect();
        Self { sum_us: histogram.sum_us, buckets }
    }
}

impl From<HistogramForm> for Histogram {
    fn from(form: HistogramForm) -> Self {
        let mut histogram = Self { sum_us: form.sum_us, ..Self::default() };
        for (end_us, count) in form.buckets {
            let sum = &mut histogram.counts[bucket_of(end_us.saturating_sub(1))];
            *sum = sum.saturating_add(count);
        }
        histogram
    }
}

/// The bucket of a length in microseconds. Up to 7 each has its own; above, the two
/// bits behind the first bit distinguish buckets.
fn bucket_of(length_us: u64) -> usize {
    if length_us < 4 {
        return length_us as usize;
    }
    let exponent = length_us.ilog2();
    let quarter = (length_us >> (exponent - 2)) & 3;
    (4 * (exponent as usize - 1) + quarter as usize).min(BUCKETS - 1)
}

/// The shortest length of a bucket, in microseconds.
fn start_of(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    (4 + bucket as u64 % 4) << (bucket / 4 - 1)
}

/// Counts a length in shared words that have no other writer.
pub(super) fn count(words: &[AtomicU64; WORDS], length_us: u64) {
    add(&words[0], length_us);
    add(&words[1 + bucket_of(length_us)], 1);
}

/// Reads shared words.
pub(super) fn read(words: &[AtomicU64; WORDS]) -> Histogram {
    let [sum, counts @ ..] = words;
    let counts = counts.iter().map(|word| word.load(Relaxed)).collect();
    Histogram { counts, sum_us: sum.load(Relaxed) }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], sum_us: 0 }
    }
}

impl Histogram {
    /// Adds the counts of another histogram.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    /// What was counted since an earlier state of this histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let counts = self.counts.iter().zip(&earlier.counts);
        Self {
            counts: counts.map(|(now, before)| now.saturating_sub(*before)).collect(),
            sum_us: self.sum_us.saturating_sub(earlier.sum_us),
        }
    }

    /// How many lengths were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The sum of all lengths.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us)
    }

    /// The length that this share of all did not exceed, 0.5 for the median; exact to
    /// an eighth or so. `None` if none was counted.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let all = self.count();
        // Rounding does not matter: the result is an estimate.
        let rank = ((share * all as f64).ceil() as u64).clamp(1, all.max(1));
        let mut before = 0u64;
        for (bucket, &count) in self.counts.iter().enumerate() {
            if count > 0 && before.saturating_add(count) >= rank {
                let (start, end) = (start_of(bucket), start_of(bucket + 1));
                let within = (rank - before) as f64 / count as f64;
                let length = start as f64 + within * (end - start - 1) as f64;
                return Some(Duration::from_micros(length as u64));
            }
            before = before.saturating_add(count);
        }
        None
    }

    /// The buckets in order: the upper bound of the length, and how many. The last one
    /// also has longer times.
    pub fn buckets(&self) -> impl ExactSizeIterator<Item = (Duration, u64)> {
        let end = |bucket| Duration::from_micros(start_of(bucket + 1));
        self.counts.iter().enumerate().map(move |(bucket, count)| (end(bucket), *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lengths: impl IntoIterator<Item = u64>) -> Histogram {
        let words = std::array::from_fn(|_| AtomicU64::new(0));
        lengths.into_iter().for_each(|length| count(&words, length));
        read(&words)
    }

    #[test]
    fn every_length_is_in_the_bucket_that_it_belongs_to() {
        let near = |power: u32| [-1, 0, 1].map(|by| (1u64 << power).saturating_add_signed(by));
        for length in (0..100_000).chain((0..33).flat_map(near)) {
            let bucket = bucket_of(length);
            assert!(start_of(bucket) <= length, "{length} in {bucket}");
            assert!(length < start_of(bucket + 1) || bucket == BUCKETS - 1, "{length}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert!(start_of(BUCKETS - 1) > 7_200_000_000, "two hours have a bucket of their own");
    }

    #[test]
    fn a_bucket_is_at_most_a_quarter_wide() {
        for bucket in 4..BUCKETS {
            let (start, end) = (start_of(bucket), start_of(bucket + 1));
            assert!(end > start && (end - start) * 4 <= start, "{bucket}: {start} to {end}");
        }
    }

    #[test]
    fn quantiles_are_near_the_exact_values() {
        let histogram = of(1..=1000);
        assert_eq!(histogram.count(), 1000);
        assert_eq!(histogram.sum(), Duration::from_micros(500_500));
        for (share, truth) in [(0.0, 1.0), (0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (1.0, 1000.0)]
        {
            let found = histogram.quantile(share).unwrap().as_micros() as f64;
            assert!((found / truth - 1.0).abs() < 0.13, "{share}: {found} for {truth}");
        }
        assert_eq!(of([3, 3, 3]).quantile(0.5), Some(Duration::from_micros(3)));
    }

    #[test]
    fn an_empty_histogram_has_no_quantile() {
        let nothing = Histogram::default();
        assert_eq!((nothing.count(), nothing.sum()), (0, Duration::ZERO));
        assert_eq!(nothing.quantile(0.5), None);
    }

    #[test]
    fn what_was_counted_since_is_the_difference() {
        let (earlier, later) = (of([1, 5]), of([1, 5, 5, 9000]));
        assert_eq!(later.since(&earlier), of([5, 9000]));
        assert_eq!(earlier.since(&later), Histogram::default());
    }

    #[test]
    fn sums_do_not_overflow() {
        let full = Histogram { counts: vec![u64::MAX; BUCKETS], sum_us: u64::MAX };
        let mut sum = full.clone();
        sum.add(&full);
        assert_eq!(sum, full);
        for share in [f64::NAN, f64::NEG_INFINITY, -1.0, 0.5, 2.0, f64::INFINITY] {
            assert!(sum.quantile(share).is_some());
        }
    }

    #[test]
    fn json_has_the_whole_histogram() {
        let histogram = of([0, 3, 5, 5, 1000, 7_300_000_000, u64::MAX >> 1]);
        let json = serde_json::to_string(&histogram).unwrap();
        assert!(json.starts_with(r#"{"sum_us":"#) && json.contains("[6,2]"), "{json}");
        assert_eq!(serde_json::from_str::<Histogram>(&json).unwrap(), histogram);
        let empty = serde_json::from_str::<Histogram>("{}").unwrap();
        assert_eq!(empty, Histogram::default());
    }

    #[test]
    fn the_buckets_have_every_counted_length() {
        let histogram = of([0, 5, 5, u64::MAX]);
        let filled: Vec<_> = histogram.buckets().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled[..2], [(Duration::from_micros(1), 1), (Duration::from_micros(6), 2)]);
        assert_eq!(filled.len(), 3);
        assert_eq!(histogram.buckets().len(), BUCKETS);
    }
}
