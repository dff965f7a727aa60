//! The log files: where lines go, how the error log's look, and reopening.
//!
//! Shared by the master and its workers. The access log's lines are the
//! engine's business; here is only the file that they go to.

mod destination;
pub mod journal;
mod line;
mod loss;
pub mod printable;

pub use destination::{Destination, LogFile};
pub use line::{Identity, identify, install, own_line};
