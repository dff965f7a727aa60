//! What the words of a cell hold. Each word has the number of the tenancy that it belongs to,
//! so that a change by a process that was interrupted fails, or is ignored, when another client
//! has the cell meanwhile.

/// The bits of a tenancy: the last ones of each word.
pub(super) const TENANCY_BITS: u32 = 13;
const TENANCY: u64 = (1 << TENANCY_BITS) - 1;
/// The bits of a number of connections.
const COUNT_BITS: u32 = 20;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
/// The first bit of a time in seconds.
const SECONDS_AT: u32 = TENANCY_BITS + COUNT_BITS;

/// The highest number of connections of one client that can be counted.
pub(super) const MOST_CONNECTIONS: u32 = COUNT as u32;

/// The latest time until which a client can be remembered: 68 years.
pub(super) const LATEST_S: u32 = u32::MAX >> 1;

/// Counts the clients that a cell has had, and begins anew after 8191 of them; 0 before the
/// first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tenancy(u16);

impl Tenancy {
    pub(super) fn is_some(self) -> bool {
        self.0 != 0
    }

    pub(super) fn next(self) -> Self {
        let next = u64::from(self.0) + 1;
        Self(if next > TENANCY { 1 } else { next as u16 })
    }

    /// The tenancy of a word.
    pub(super) fn of(word: u64) -> Self {
        Self((word & TENANCY) as u16)
    }

    pub(super) fn word(self) -> u64 {
        self.0.into()
    }
}

/// Whose the cell is, or was last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CellOwner {
    /// The client's tag.
    pub(super) tag: u64,
    pub(super) tenancy: Tenancy,
}

impl CellOwner {
    pub(super) fn of(word: u64) -> Self {
        Self { tag: word >> TENANCY_BITS, tenancy: Tenancy::of(word) }
    }

    pub(super) fn word(self) -> u64 {
        self.tag << TENANCY_BITS | self.tenancy.word()
    }
}

/// For what, and for how long, the client needs the cell. A cell whose owner has another
/// tenancy is vacant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CellUse {
    pub(super) tenancy: Tenancy,
    /// How many connections the client has.
    pub(super) connections: u32,
    /// Until when the client's requests are remembered, in seconds of the monotonic clock; at
    /// most [`LATEST_S`].
    pub(super) until_s: u32,
}

impl CellUse {
    pub(super) fn of(word: u64) -> Self {
        Self {
            tenancy: Tenancy::of(word),
            connections: (word >> TENANCY_BITS & COUNT) as u32,
            until_s: (word >> SECONDS_AT) as u32,
        }
    }

    pub(super) fn word(self) -> u64 {
        let connections = u64::from(self.connections) << TENANCY_BITS;
        u64::from(self.until_s) << SECONDS_AT | connections | self.tenancy.word()
    }

    /// Vacant, for the next tenancy.
    pub(super) fn vacated(self) -> Self {
        Self { tenancy: self.tenancy.next(), connections: 0, until_s: 0 }
    }

    /// Something is kept here for the client. A cell without anything may be taken from it by
    /// any process, so it counts for nothing.
    pub(super) fn is_kept(self) -> bool {
        self.connections > 0 || self.until_s > 0
    }

    /// What is kept here has an effect, or may have had one a moment ago.
    pub(super) fn is_needed(self, now_s: u32) -> bool {
        self.connections > 0 || self.until_s >= now_s
    }
}

/// What a client has used of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientBucket {
    pub(super) tenancy: Tenancy,
    /// When the client may send a whole burst again, in microseconds of the monotonic clock.
    pub(super) full_at_us: u64,
}

impl ClientBucket {
    pub(super) fn of(word: u64) -> Self {
        Self { tenancy: Tenancy::of(word), full_at_us: word >> TENANCY_BITS }
    }

    /// A time beyond the 71 years that the word has room for is the end of these.
    pub(super) fn word(self) -> u64 {
        self.full_at_us.min(u64::MAX >> TENANCY_BITS) << TENANCY_BITS | self.tenancy.word()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_holds_the_largest_values_of_each_part() {
        let tenancy = Tenancy(TENANCY as u16);
        let owner = CellOwner { tag: (1 << 51) - 1, tenancy };
        assert_eq!(CellOwner::of(owner.word()), owner);
        let most = CellUse { tenancy, connections: MOST_CONNECTIONS, until_s: LATEST_S };
        assert_eq!((CellUse::of(most.word()), most.word()), (most, u64::MAX));
        let bucket = ClientBucket { tenancy, full_at_us: (1 << 51) - 1 };
        assert_eq!(ClientBucket::of(bucket.word()), bucket);
        let beyond = ClientBucket { full_at_us: u64::MAX, ..bucket };
        assert_eq!(ClientBucket::of(beyond.word()), bucket);
        for (connections, until_s) in [(1, 0), (0, 1), (7, 9)] {
            let some = CellUse { tenancy: Tenancy(5), connections, until_s };
            assert_eq!(CellUse::of(some.word()), some);
        }
    }

    #[test]
    fn no_tenancy_is_followed_by_none() {
        assert!(!Tenancy::of(0).is_some() && Tenancy(0).next() == Tenancy(1));
        assert_eq!(Tenancy(TENANCY as u16).next(), Tenancy(1));
    }
}
