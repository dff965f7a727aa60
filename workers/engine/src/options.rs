//! What the engine needs to know of the settings, ready for use.

use std::path::PathBuf;
use std::time::Duration;

use monoceros_http::Limits;

/// The engine's share of the settings.
#[derive(Clone, Debug)]
pub struct Options {
    /// Application threads.
    pub threads: u16,
    /// Whether other workers accept from the same listeners, to begin with.
    pub shared: bool,
    /// The most connections at one time.
    pub connections: usize,
    /// Limits of a request head.
    pub limits: Limits,
    /// How long a request head may take, from accept or its first byte.
    pub header_timeout: Duration,
    /// How long a request body may go without progress.
    pub body_timeout: Duration,
    /// How long an answer may wait for a client that takes nothing.
    pub write_timeout: Duration,
    /// How long a connection may be idle between two requests; zero closes it
    /// after each answer.
    pub keep_alive: Duration,
    /// How long a drain may take.
    pub graceful_timeout: Duration,
    /// How long a draining worker keeps idle connections.
    pub drain_idle: Duration,
    /// Where bodies that are too large for memory go.
    pub spool_directory: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threads: 1,
            shared: false,
            connections: 1000,
            limits: Limits::default(),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(75),
            graceful_timeout: Duration::from_secs(30),
            drain_idle: Duration::from_secs(1),
            spool_directory: std::env::temp_dir(),
        }
    }
}
