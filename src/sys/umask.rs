//! The file mode creation mask.

use nix::sys::stat::{Mode, umask};

/// Sets the file mode creation mask of this process, and returns the former one
/// (`umask(2)`).
pub fn set(mask: u32) -> u32 {
    umask(Mode::from_bits_truncate(mask)).bits()
}
