//! What the engine needs to know of the settings, ready for use.

use std::path::PathBuf;
use std::time::Duration;

use monoceros_http::Limits;

use crate::stream::local::LocalDecision;

/// The longest body of a request, in bytes: 1 GiB. Whatever an application
/// accepts, one client is not to fill the disk.
pub const LONGEST_BODY: u64 = 1 << 30;

/// The engine's share of the settings.
#[derive(Clone, Debug)]
pub struct Options {
    /// Application threads.
    pub threads: u16,
    /// They have no interpreter lock in common: all of them can compute at the
    /// same time.
    pub parallel: bool,
    /// How many workers accept from the same listeners, to begin with.
    pub workers: u16,
    /// The most connections at one time.
    pub connections: usize,
    /// Limits of a request head.
    pub limits: Limits,
    /// How long a request head may take, from its first byte.
    pub header_timeout: Duration,
    /// How long a request body may go without progress.
    pub body_timeout: Duration,
    /// How long a response may wait for a client that takes nothing.
    pub write_timeout: Duration,
    /// How long a connection may be idle before a request; zero closes it after
    /// each response.
    pub keep_alive: Duration,
    /// How long a drain may take.
    pub graceful_timeout: Duration,
    /// How long a draining worker keeps idle connections.
    pub drain_idle: Duration,
    /// How much of responses may wait in memory for slow clients, in bytes.
    pub response_memory: u64,
    /// How much of them may wait on disk.
    pub response_disk: u64,
    /// The longest body of a request, in bytes.
    pub longest_body: u64,
    /// What the server responds to by itself.
    pub local: Option<LocalDecision>,
    /// How many connections are accepted beyond what the application has room for, so
    /// that the server can respond by itself while every application thread is busy.
    pub reserve: usize,
    /// Where bodies that are too large for memory go; `None` keeps them in files
    /// in memory.
    pub spool_directory: Option<PathBuf>,
}
