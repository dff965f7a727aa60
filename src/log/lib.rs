//! Log files: their destinations, the format of the error log's lines, and reopening.
//!
//! The master and its workers use this crate. The engine formats the access log's lines;
//! this crate has only their file.

mod destination;
pub mod journal;
mod line;
mod loss;
pub mod printable;

pub use destination::{Destination, LogFile};
pub use line::{Identity, identify, install, own_line};
