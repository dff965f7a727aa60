//! The formats in which the processes of Monoceros exchange data.
//!
//! [`message`] holds every message to and from workers, [`control`] those of an
//! operator's commands; [`channel`] carries them. [`gunicorn`] has those about a configuration
//! file in Python, and a [`record`] is one of the master's for such a process. [`source_files`]
//! are what the code of a worker was read from. A [`listener`] is described beside its descriptor. The [`scoreboard`] is memory in which a worker shows its state
//! without a message, and [`stacks`] is memory in which its interpreter writes the
//! stacks of its threads. The [`client_table`] is memory that all workers share: what each
//! client has used of its limits. So is the [`spool_count`]: what bodies of requests take of
//! the disk. A request is named by its [`request_id`], and may belong to a trace ([`trace_ids`]).
//! A [`report`] is what a server reports about itself.

pub mod channel;
pub mod client_table;
pub mod control;
pub mod gunicorn;
pub mod listener;
pub mod log_role;
pub mod message;
pub mod record;
pub mod report;
pub mod request_id;
pub mod scoreboard;
pub mod source_files;
pub mod spool_count;
pub mod stacks;
pub mod trace_ids;

use std::fmt;

use serde::{Deserialize, Serialize};

/// A worker's number, counted from 0; outlives the process in it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
pub struct Slot(pub u16);

/// The number of a generation of code and settings; rises by one.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
pub struct Generation(pub u32);

impl fmt::Display for Slot {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
