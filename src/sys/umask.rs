//! The permissions that new files do not get.

use nix::sys::stat::{Mode, umask};

/// Sets the permissions that new files do not get, and returns what they were
/// (`umask(2)`). They are the whole process's.
pub fn set(mask: u32) -> u32 {
    umask(Mode::from_bits_truncate(mask)).bits()
}
