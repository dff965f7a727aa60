//! Everything of the master that touches the system: processes, sockets, files,
//! signals, the clock. Nothing here decides what the server does next: `event_loop.rs`
//! turns what happens into events for `decide`, and carries out the actions that
//! `decide` returns.

mod control_socket;
mod event_loop;
mod listener;
mod logs;
mod memory;
mod native_worker;
mod notify_receiver;
mod notify_sender;
mod owner_rights;
mod pending_fork;
pub(crate) mod pid_file;
mod proc_stat;
pub(crate) mod start;
mod upgrade;
mod worker_process;
mod worker_spec;
