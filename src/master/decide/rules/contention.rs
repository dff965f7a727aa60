//! Failures to boot that another worker may cause: while a worker is replaced, the
//! application is loaded twice, and a port or a lock that it takes at import is taken
//! already. Pure.

/// Words of such failures, as Python's and the C library's messages have them.
const WORDS: [&str; 9] = [
    "lock",
    "locked",
    "lockerror",
    "lockfile",
    "filelock",
    "filelocked",
    "alreadylocked",
    "blockingioerror",
    "eaddrinuse",
];

/// Whether the last line of a failure's text reads as such a failure.
pub(crate) fn is_likely(gist: &str) -> bool {
    let gist = gist.to_lowercase();
    let mut words = gist.split(|letter: char| !letter.is_alphanumeric());
    gist.contains("address already in use") || words.any(|word| WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_process_has_is_distinguished_from_other_failures() {
        for text in [
            "OSError: [Errno 98] Address already in use",
            "BlockingIOError: [Errno 11] Resource temporarily unavailable",
            "zc.lockfile.LockError: Couldn't lock '/srv/Data.fs.lock'",
            "sqlite3.OperationalError: database is locked",
        ] {
            assert!(is_likely(text), "{text}");
        }
        for text in [
            "ModuleNotFoundError: No module named 'blocks'",
            "ImportError: cannot import name 'clock' from 'time'",
            "not ready within boot-timeout (60 s)",
            "",
        ] {
            assert!(!is_likely(text), "{text}");
        }
    }
}
