//! Everything of the master that touches the system: processes, sockets, files,
//! signals, the clock. Nothing here decides what the server does next: `event_loop.rs`
//! turns what happens into events for `decide`, and carries out the actions that
//! `decide` returns.

mod application_metrics;
mod bind_format;
mod certificates;
mod client_limits;
mod concern_report;
mod config_reader;
mod control_socket;
mod deployment;
mod environment;
mod event_loop;
pub(crate) mod file_values;
mod former_workers;
mod generations;
mod handover;
pub(crate) mod invocation;
mod lenient_check;
mod listener;
mod live_reports;
mod logs;
mod memory;
mod metrics_directory;
mod metrics_server;
mod notify_sender;
mod observer;
mod owner_rights;
mod path_format;
mod pem_file;
mod pending_fork;
pub(crate) mod pid_file;
mod pid_file_setting;
mod poller;
pub(crate) mod proc_stat;
mod processes;
mod proportional_sizes;
mod python_file;
mod record_relay;
mod renewals;
mod reported_sources;
mod server_figures;
mod signal_reader;
mod slow_log;
mod source_scan;
mod source_watch;
mod spare_memory;
mod spool_places;
pub(crate) mod start;
mod startup;
mod upgrade;
mod worker_process;
mod worker_spec;
