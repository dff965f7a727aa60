//! The master process. `decide` chooses what to do about each event and touches
//! nothing outside of itself; `act` waits for events and carries the choices out;
//! `kind` knows what is special to each kind of worker.

// A variant that is added does not compile until every `match` handles it. Tests look for
// one variant among many.
#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

mod act;
mod decide;
mod kind;
mod page;

pub(crate) use self::act::file_values::read_values;
pub(crate) use self::act::invocation::Invocation;
pub(crate) use self::act::pid_file::find_master;
pub(crate) use self::act::proc_stat::is_stopped;
pub(crate) use self::act::start::{check, print, run};
pub(crate) use self::decide::state::Purpose;
