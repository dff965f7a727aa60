//! The identity of the process that writes a record: master, mold, or worker.

use std::fmt;
use std::sync::{PoisonError, RwLock};

/// The name of the process that writes a line, in front of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The master.
    Master,
    /// A worker, by its slot and generation.
    Worker {
        /// The slot's number.
        slot: u16,
        /// The generation's number.
        generation: u32,
    },
    /// A mold, by its generation.
    Mold {
        /// The generation's number.
        generation: u32,
    },
}

/// The identity of this process.
static OWN: RwLock<Identity> = RwLock::new(Identity::Master);

/// Sets the identity of this process, at its start and after a fork.
pub fn identify(identity: &Identity) {
    if let Ok(mut own) = OWN.write() {
        *own = *identity;
    }
}

impl Identity {
    /// That of this process.
    #[must_use]
    pub fn own() -> Self {
        *OWN.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The logger of the process's own records.
    pub(crate) fn logger(self) -> &'static str {
        match self {
            Self::Master => "monoceros.master",
            Self::Worker { .. } => "monoceros.worker",
            Self::Mold { .. } => "monoceros.mold",
        }
    }

    /// The number of a worker's slot.
    #[must_use]
    pub fn slot(self) -> Option<u16> {
        match self {
            Self::Worker { slot, .. } => Some(slot),
            Self::Master | Self::Mold { .. } => None,
        }
    }

    /// The number of the generation of a worker or a mold.
    #[must_use]
    pub fn generation(self) -> Option<u32> {
        match self {
            Self::Worker { generation, .. } | Self::Mold { generation } => Some(generation),
            Self::Master => None,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Master => write!(formatter, "master"),
            Self::Worker { slot, generation } => {
                write!(formatter, "worker={slot} gen={generation}")
            }
            Self::Mold { generation } => write!(formatter, "mold gen={generation}"),
        }
    }
}
