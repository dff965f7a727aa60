//! Which requests the access log has: what the settings leave out, and a sample of the rest.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use monoceros_config::{AccessExclusion, Fraction};
use monoceros_http::{PathPrefix, PathSpellings, Subtree};
use monoceros_sys::clock;

use crate::record::access_record::Record;

/// What the access log leaves out.
#[derive(Debug)]
pub(super) struct AccessSelection {
    paths: Vec<Subtree>,
    statuses: Vec<u16>,
    sample: Fraction,
}

impl Default for AccessSelection {
    fn default() -> Self {
        Self { paths: Vec::new(), statuses: Vec::new(), sample: Fraction::ONE }
    }
}

impl AccessSelection {
    pub(super) fn new(exclusions: &[AccessExclusion], sample: Fraction) -> Self {
        let mut selection = Self { sample, ..Self::default() };
        for exclusion in exclusions {
            match exclusion {
                AccessExclusion::Path(path) => selection.paths.push(Subtree::at(path.as_bytes())),
                AccessExclusion::Status(status) => selection.statuses.push(*status),
            }
        }
        selection
    }

    /// Whether the log has a line for this request. It may differ from one call to the next.
    pub(super) fn has(&self, record: &Record) -> bool {
        let is_excluded = self.statuses.contains(&record.response.status())
            || !self.paths.is_empty() && self.leaves_out_path(record);
        !is_excluded && is_in_sample(self.sample)
    }

    /// Whether the path is left out however the application reads it: `/healthz/../admin` cannot
    /// hide a request for `/admin`.
    fn leaves_out_path(&self, record: &Record) -> bool {
        let Some(head) = record.head else { return false };
        let path = PathSpellings::new(&PathPrefix::default(), head.path());
        self.paths.iter().any(|subtree| path.all_in(subtree))
    }
}

thread_local! {
    /// The state of the thread's random numbers; 0 before the first one.
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

fn is_in_sample(sample: Fraction) -> bool {
    let whole = Fraction::ONE.millionths;
    sample.millionths == whole || random() % u64::from(whole) < sample.millionths.into()
}

/// A random number, by Marsaglia's xorshift: what is logged need not be unpredictable.
fn random() -> u64 {
    let mut state = match RANDOM.get() {
        // Workers that a mold has forked have its keys in common.
        0 => RandomState::new().hash_one((std::process::id(), clock::monotonic_us())) | 1,
        state => state,
    };
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    RANDOM.set(state);
    state >> 11
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::access_record::tests::with_record;
    use monoceros_config::AccessExclusion::{Path, Status};

    fn has(exclusion: &AccessExclusion, target: &str) -> bool {
        let selection = AccessSelection::new(std::slice::from_ref(exclusion), Fraction::ONE);
        with_record(target, |record| selection.has(record))
    }

    #[test]
    fn a_path_is_left_out_with_everything_beneath_it() {
        let path = Path("/health%7a".to_owned());
        for (target, is_logged) in [
            ("/healthz", false),
            ("/healthz/", false),
            ("/healthz/live?x=1", false),
            ("/%68ealthz", false),
            ("/healthzone", true),
            ("/", true),
            ("/healthz/../admin", true),
            ("/healthz/%2e%2e/admin", true),
            ("/x/../healthz", true),
        ] {
            assert_eq!(has(&path, target), is_logged, "{target}");
        }
        assert!(!has(&Status(200), "/") && has(&Status(404), "/"));
        assert!(with_record("/", |record| AccessSelection::default().has(record)));
    }

    #[test]
    fn a_sample_has_about_its_part_of_all_requests() {
        let counted =
            |millionths| (0..20_000).filter(|_| is_in_sample(Fraction { millionths })).count();
        assert_eq!((counted(0), counted(1_000_000)), (0, 20_000));
        // Six standard deviations are 255.
        assert!(counted(100_000).abs_diff(2_000) < 255);
    }
}
