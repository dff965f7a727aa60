//! The decisions of the master. `Master::step` in `master.rs` takes an event and returns
//! actions; each other file is a part of the master that owns its own data, or the
//! vocabulary of both. Nothing in this folder touches the system: time is an argument, and
//! randomness comes from a seed. So all of it is simulated in the tests.

pub(crate) mod action;
mod boot_failures;
mod commands;
pub(crate) mod event;
mod exit_report;
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
pub(crate) mod settings;
pub(crate) mod state;
mod status_line;
mod succession;
mod suspends;
mod watchdog;
