//! What a server gives up by its own decision, by kind.

use std::fmt;

/// Why a server gives up a request, a response or a connection by its own
/// decision: not because the client has gone, nor because the application has
/// failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// The request is malformed, or larger than allowed.
    Refused,
    /// The request takes too long to arrive (408).
    Late,
    /// The request's body cannot be kept (503).
    Unkept,
    /// The worker ends before the request can be begun (503).
    Unbegun,
    /// The request has run for longer than `timeout` (504).
    Expired,
    /// The connection must make room for another one.
    Displaced,
    /// The client has taken nothing of the response for `write-timeout`.
    Untaken,
    /// Waiting responses take too much room, and this client is the slowest.
    Slowest,
    /// The file of the response cannot be read to its end.
    Unreadable,
    /// The worker ends before the response has been sent.
    Unfinished,
    /// The TLS handshake has failed, or takes too long.
    Handshake,
    /// The header of the PROXY protocol is malformed, missing or late, or its sender is not
    /// allowed.
    ProxyHeader,
    /// An access rule refuses the client (403, or the connection is closed when it is accepted).
    Denied,
    /// The host of the request is not among those that are served (421).
    Misdirected,
    /// The client sends more requests than its rate allows (429).
    RateLimited,
    /// The client has more connections than allowed (429).
    TooManyConnections,
    /// The request's body is larger than allowed (413).
    TooLarge,
    /// The request has waited too long for an application thread (503).
    Overdue,
    /// The response cannot be encoded.
    Unencoded,
}

/// How many kinds there are.
pub const KINDS: usize = GivenUp::ALL.len();

/// How often each kind has occurred, in the order of [`GivenUp::ALL`].
pub type Losses = [u64; KINDS];

impl GivenUp {
    /// Every kind; each is at the place of its number.
    pub const ALL: [Self; 19] = [
        Self::Refused,
        Self::Late,
        Self::Unkept,
        Self::Unbegun,
        Self::Expired,
        Self::Displaced,
        Self::Untaken,
        Self::Slowest,
        Self::Unreadable,
        Self::Unfinished,
        Self::Handshake,
        Self::ProxyHeader,
        Self::Denied,
        Self::Misdirected,
        Self::RateLimited,
        Self::TooManyConnections,
        Self::TooLarge,
        Self::Overdue,
        Self::Unencoded,
    ];

    /// Its index in [`GivenUp::ALL`] and in [`Losses`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// Its name in `monoceros status`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Late => "late",
            Self::Unkept => "unkept",
            Self::Unbegun => "unbegun",
            Self::Expired => "expired",
            Self::Displaced => "displaced",
            Self::Untaken => "untaken",
            Self::Slowest => "slowest",
            Self::Unreadable => "unreadable",
            Self::Unfinished => "unfinished",
            Self::Handshake => "handshake",
            Self::ProxyHeader => "proxy-header",
            Self::Denied => "denied",
            Self::Misdirected => "misdirected",
            Self::RateLimited => "rate-limited",
            Self::TooManyConnections => "too-many-connections",
            Self::TooLarge => "too-large",
            Self::Overdue => "overdue",
            Self::Unencoded => "unencoded",
        }
    }
}

impl fmt::Display for GivenUp {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_index_and_a_name_of_its_own() {
        for (place, kind) in GivenUp::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), place);
            let same = GivenUp::ALL.iter().filter(|other| other.name() == kind.name()).count();
            assert_eq!(same, 1, "{kind}");
        }
    }
}
