//! Pure rules. Each is a function, or a small value, that looks at its arguments
//! only. The parts of `decide` ask them.

pub(crate) mod backoff;
pub(crate) mod contention;
pub(crate) mod health;
pub(crate) mod random;
