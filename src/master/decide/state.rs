//! The states of the master.

use std::time::Instant;

/// What the master is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MasterState {
    /// Taking its addresses; no worker exists.
    Binding {
        /// When to try again, after an address was in use.
        retry: Option<Instant>,
        /// When to give up.
        until: Option<Instant>,
    },
    /// The first generation is on its way; a failure ends the master.
    Booting,
    /// Keeps the workers that it should have; a failure ends nothing.
    Serving,
    /// Is to end, and serves as before until others have learnt of that.
    Delaying {
        /// When it drains.
        until: Instant,
    },
    /// The workers finish what they have; then the master exits.
    Draining,
    /// The workers stop at once; then the master exits.
    Stopping,
    /// There is nothing left to do.
    Stopped,
}
