//! Which rows of the table belong to which limits of requests. Workers find the row of a limit
//! by the limit's text, so that a limit keeps its row over reloads and upgrades.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::rate::Rate;

/// A limit of requests, by its text: two with the same text are the same limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleTag(u64);

impl RuleTag {
    /// The tag of a text (FNV-1a, 64 bits). All releases compute it alike, so that an upgrade
    /// keeps the limits.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // 0 is a row without a limit.
        Self(hash.max(1))
    }
}

/// A limit of requests that has a row.
#[derive(Clone, Copy, Debug)]
pub struct TableRule {
    pub(super) tag: RuleTag,
    pub(super) rate: Rate,
    pub(super) row: usize,
}

/// The tags of the rows.
pub(super) struct RuleRows<'a>(pub(super) &'a [AtomicU64]);

impl RuleRows<'_> {
    /// The row of a limit.
    pub(super) fn find(&self, tag: RuleTag) -> Option<usize> {
        self.0.iter().position(|row| row.load(Acquire) == tag.0)
    }

    /// Whether a row is still that of its limit.
    pub(super) fn is_of(&self, rule: &TableRule) -> bool {
        self.0[rule.row].load(Acquire) == rule.tag.0
    }

    /// The limits that have rows.
    pub(super) fn all(&self) -> impl Iterator<Item = RuleTag> {
        self.0.iter().map(|row| row.load(Acquire)).filter(|tag| *tag != 0).map(RuleTag)
    }

    /// The rows of limits that `is_kept` does not name.
    pub(super) fn without(&self, is_kept: impl Fn(RuleTag) -> bool) -> Vec<usize> {
        let rows = self.0.iter().enumerate();
        let rows = rows.filter(|(_, row)| {
            let tag = row.load(Acquire);
            tag != 0 && !is_kept(RuleTag(tag))
        });
        rows.map(|(row, _)| row).collect()
    }

    /// Takes a row from its limit. The row must be empty before another limit gets it.
    pub(super) fn free(&self, row: usize) {
        self.0[row].store(0, Relaxed);
    }

    /// Gives a limit a row that none has. Returns whether there was one.
    pub(super) fn add(&self, tag: RuleTag) -> bool {
        self.0.iter().any(|row| row.compare_exchange(0, tag.0, AcqRel, Relaxed).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_the_same_tag_in_all_releases() {
        assert_eq!(RuleTag::of(""), RuleTag(0xcbf2_9ce4_8422_2325));
        assert_eq!(RuleTag::of("a"), RuleTag(0xaf63_dc4c_8601_ec8c));
        assert_eq!(RuleTag::of("foobar"), RuleTag(0x8594_4171_f739_67e8));
    }
}
