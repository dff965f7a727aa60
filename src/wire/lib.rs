//! What the processes of Monoceros say to each other, and how.
//!
//! [`message`] holds every message to and from workers, [`control`] those of an
//! operator's commands; [`channel`] carries them. The [`scoreboard`] is what a
//! worker shows without saying anything, and [`stacks`] where its interpreter
//! writes what it is at.

pub mod channel;
pub mod control;
pub mod message;
pub mod scoreboard;
pub mod stacks;

use std::fmt;

use serde::{Deserialize, Serialize};

/// A worker's place, counted from 0; outlives the process in it.
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

/// The environment variables in which a worker finds what it was given.
pub mod variable {
    /// The slot's number; stays in the application's environment.
    pub const SLOT: &str = "MONOCEROS_SLOT";
    /// The generation's number; stays in the application's environment.
    pub const GENERATION: &str = "MONOCEROS_GENERATION";
    /// The descriptor of the channel; only workers of ours have one.
    pub const CHANNEL: &str = "MONOCEROS_CHANNEL";
    /// The descriptor of the extension module, as it was when the master
    /// started: what is on the disk may be of another version meanwhile.
    pub const EXTENSION: &str = "MONOCEROS_EXTENSION";
    /// The descriptor of the scoreboard; only workers of ours have one.
    pub const SCOREBOARD: &str = "MONOCEROS_SCOREBOARD";
    /// The descriptor of the file for stacks; only workers of ours have one.
    pub const STACKS: &str = "MONOCEROS_STACKS";
    /// The descriptor of the error log, if the settings name one of the master's
    /// descriptors (`/dev/fd/5`).
    pub const ERROR_LOG: &str = "MONOCEROS_ERROR_LOG_FD";
    /// The same of the access log.
    pub const ACCESS_LOG: &str = "MONOCEROS_ACCESS_LOG_FD";
}
