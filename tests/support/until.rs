//! Waiting for a condition: the only place in the tests that sleeps.

use std::thread;
use std::time::{Duration, Instant};

/// Long enough for a loaded machine. A test that passes never waits for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Asks again and again until there is an answer.
pub(crate) fn some<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, ask).unwrap_or_else(|| panic!("waited in vain for {what}"))
}

/// Asks again and again until the answer is yes.
pub(crate) fn holds(what: &str, mut ask: impl FnMut() -> bool) {
    some(what, || ask().then_some(()));
}

/// As [`some`], with a deadline of its own, and nothing when it has passed.
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

/// Lets time pass: for what must not happen meanwhile, however long it takes.
pub(crate) fn passes(time: Duration) {
    thread::sleep(time);
}
