//! Waits for conditions. No other code of the tests sleeps.

use std::thread;
use std::time::{Duration, Instant};

/// The deadline of all waits, for a loaded machine. A test that passes does not reach it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// Repeats a question until it has a result.
pub(crate) fn some<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, ask).unwrap_or_else(|| panic!("waited in vain for {what}"))
}

/// Repeats a question until the result is true.
pub(crate) fn holds(what: &str, mut ask: impl FnMut() -> bool) {
    some(what, || ask().then_some(()));
}

/// As [`some`], with another deadline; `None` after it.
pub(crate) fn within<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for this time, to check that something does not occur in it.
pub(crate) fn passes(time: Duration) {
    thread::sleep(time);
}
