//! The decisions of the master. `Master::step` in `master.rs` takes an event and returns
//! actions; `master/states.rs` has what each state does about each event. Each other file is
//! a part that owns its own data, a rule, or the vocabulary of events and actions. Nothing
//! in this folder touches the system: time is an argument, and randomness comes from a
//! seed. So all decisions are simulated in the tests.

pub(crate) mod action;
mod boot_failures;
pub(crate) mod certificate_watch;
mod commands;
mod concerns;
mod config_run;
mod confirmations;
pub(crate) mod event;
mod exit_reason;
mod exit_report;
mod hooks;
pub(crate) mod id;
mod lifecycle;
pub(crate) mod master;
mod monitoring;
mod planner;
mod pool;
mod pool_size;
mod reconcile;
mod recycling;
mod reload;
mod roster;
mod rules;
pub(crate) mod sample;
pub(crate) mod server_facts;
pub(crate) mod settings;
mod slow_requests;
pub(crate) mod source_rules;
pub(crate) mod source_watch;
mod stack_requests;
pub(crate) mod state;
mod status_line;
mod succession;
mod suspends;
pub(crate) mod tally;
mod watchdog;
