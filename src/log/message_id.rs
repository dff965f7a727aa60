//! The identifiers of events that programs look for in a log (`MESSAGE_ID`,
//! `systemd.journal-fields(7)`). docs/logging.md has them too.

/// An event with an identifier of its own. The identifier never changes; the text may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageId {
    /// A reload is done: a new generation serves.
    Reloaded,
    /// A reload has failed: the old generation goes on.
    ReloadFailed,
    /// A worker has ended although it was not asked to.
    WorkerCrashed,
    /// A request or a worker has exceeded `timeout`, and its worker is ended.
    WorkerTimedOut,
}

impl MessageId {
    /// Every event that has an identifier.
    pub const ALL: [Self; 4] =
        [Self::Reloaded, Self::ReloadFailed, Self::WorkerCrashed, Self::WorkerTimedOut];

    /// The identifier: a UUID in 32 hexadecimal digits.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Reloaded => "628bae43ec1f42d8931a1ed7d4d089e6",
            Self::ReloadFailed => "042c04ca8ab0493ea0ebadf98fb40b6e",
            Self::WorkerCrashed => "8f705f9843984f36977e2dff3b3cd5a5",
            Self::WorkerTimedOut => "98632b9aeb23481c8ef5573e099c5a62",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_random_uuids_that_differ() {
        let mut seen = MessageId::ALL.map(MessageId::text).to_vec();
        for id in &seen {
            assert!(id.len() == 32 && id.bytes().all(|byte| b"0123456789abcdef".contains(&byte)));
            assert_eq!(&id[12..13], "4", "version 4 (RFC 9562)");
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), MessageId::ALL.len());
    }
}
