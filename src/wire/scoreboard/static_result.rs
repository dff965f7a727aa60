//! What became of a request for a static file.

/// How the server has responded to a request for a static file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaticResult {
    /// The file, or a part of it, was sent.
    Sent,
    /// The client has the file already (304).
    NotModified,
    /// There is no such file (404).
    NotFound,
    /// The request cannot be served: its method, a condition or a range (405, 412, 416), or the
    /// file system does not work (503).
    Refused,
}

/// How many results there are.
pub(super) const RESULTS: usize = StaticResult::ALL.len();

impl StaticResult {
    /// Every result; each is at the place of its number.
    pub const ALL: [Self; 4] = [Self::Sent, Self::NotModified, Self::NotFound, Self::Refused];

    /// The result of a response with this status.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            200..300 => Self::Sent,
            304 => Self::NotModified,
            404 => Self::NotFound,
            _ => Self::Refused,
        }
    }

    /// Its index in [`StaticResult::ALL`].
    pub(super) fn index(self) -> usize {
        self as usize
    }

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::NotModified => "not-modified",
            Self::NotFound => "not-found",
            Self::Refused => "refused",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_has_its_index() {
        for (place, result) in StaticResult::ALL.into_iter().enumerate() {
            assert_eq!(result.index(), place);
        }
        let results = [200, 206, 304, 404, 405, 503].map(StaticResult::of_status);
        let [sent, part, not_modified, not_found, refused, broken] = results;
        assert_eq!((sent, part), (StaticResult::Sent, StaticResult::Sent));
        assert_eq!(not_modified, StaticResult::NotModified);
        assert_eq!(not_found, StaticResult::NotFound);
        assert_eq!((refused, broken), (StaticResult::Refused, StaticResult::Refused));
    }
}
