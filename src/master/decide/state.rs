//! The states of the master, and what it was started for.

use std::time::Instant;

/// The state of the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MasterState {
    /// The mold with the configuration file gets ready, and runs the hooks that come before
    /// the addresses are bound.
    Starting,
    /// Binds its addresses. No worker exists.
    Binding {
        /// When to try again, after an address was in use.
        retry: Option<Instant>,
        /// When to give up.
        until: Option<Instant>,
    },
    /// Starts the first generation. A failure to boot ends the master.
    Booting,
    /// Keeps the workers that it should have. No failure of a worker ends the master.
    Serving,
    /// Serves as before until `shutdown-delay` is over; then it drains.
    Delaying {
        /// When it drains.
        until: Instant,
    },
    /// The workers finish what they have; then the master exits.
    Draining,
    /// The workers stop at once; then the master exits.
    Stopping,
    /// All processes are gone, and the master exits.
    Stopped,
}

/// What the master was started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To serve until it is stopped.
    Serve,
    /// To find out whether the application loads, and to exit.
    Check,
}
