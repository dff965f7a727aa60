//! Other spellings of a decoded path.

/// What is changed in another spelling of a path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spelling {
    /// Repeated slashes become one.
    merges_slashes: bool,
    /// A segment `.` is left out, and `..` with the segment before it (RFC 3986 section 5.2.4).
    resolves_dots: bool,
}

impl Spelling {
    /// Both changes.
    pub(crate) const CANONICAL: Self = Self { merges_slashes: true, resolves_dots: true };

    /// All spellings but the one that was received.
    pub(crate) const CHANGED: [Self; 3] = [
        Self { merges_slashes: true, resolves_dots: false },
        Self { merges_slashes: false, resolves_dots: true },
        Self::CANONICAL,
    ];
}

/// Another spelling of a decoded path, with a slash at its beginning unless it is empty, and none
/// at its end.
pub(crate) fn respell(path: &[u8], spelling: Spelling) -> Vec<u8> {
    let Spelling { merges_slashes, resolves_dots } = spelling;
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in path.strip_prefix(b"/").unwrap_or(path).split(|&byte| byte == b'/') {
        match segment {
            b"" if merges_slashes => {}
            b"." if resolves_dots => {}
            b".." if resolves_dots => _ = segments.pop(),
            segment => segments.push(segment),
        }
    }
    let mut respelled = Vec::with_capacity(path.len());
    for segment in segments {
        respelled.push(b'/');
        respelled.extend_from_slice(segment);
    }
    respelled
}
