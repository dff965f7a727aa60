//! Waits until a word in memory changes. A signal ends the wait.
//!
//! The waits of std continue after a signal. The Python bridge must return: CPython runs
//! its signal handlers on the main thread between two waits.

use std::io;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// The reason why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The word had another value, or a thread called [`wake`]. The caller must check the
    /// word again.
    Changed,
    /// The limit has passed.
    Elapsed,
    /// A signal was handled on this thread.
    Interrupted,
}

/// Sleeps while `word` is `expected`, for at most `limit` (`futex(2)`).
pub fn wait(word: &AtomicU32, expected: u32, limit: Option<Duration>) -> Wake {
    let time = limit.map(|length| libc::timespec {
        tv_sec: libc::time_t::try_from(length.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(length.subsec_nanos().cast_signed()),
    });
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word lives through the call, and `time` is null or valid.
    let result =
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, expected, time) };
    if result == 0 {
        return Wake::Changed;
    }
    match io::Error::last_os_error().raw_os_error() {
        Some(libc::ETIMEDOUT) => Wake::Elapsed,
        Some(libc::EINTR) => Wake::Interrupted,
        _ => Wake::Changed,
    }
}

/// Wakes at most `count` threads of this process that wait for `word`.
pub fn wake(word: &AtomicU32, count: i32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: futex(2) uses the address as a key only; the word lives through
    // the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, count) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_changed_word_does_not_sleep() {
        assert_eq!(wait(&AtomicU32::new(1), 0, None), Wake::Changed);
    }

    #[test]
    fn the_limit_ends_a_wait() {
        let limit = Some(Duration::from_millis(1));
        assert_eq!(wait(&AtomicU32::new(0), 0, limit), Wake::Elapsed);
    }

    #[test]
    fn a_waker_ends_a_wait() {
        let word = AtomicU32::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                word.store(1, Ordering::Release);
                wake(&word, 1);
            });
            while word.load(Ordering::Acquire) == 0 {
                wait(&word, 0, None);
            }
        });
    }
}
