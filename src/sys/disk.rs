//! File systems: their room, and whether they are in memory.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use nix::sys::statvfs::statvfs;

/// The bytes that an ordinary user can still write to the file system of this directory
/// (`statvfs(3)`).
///
/// # Errors
/// Those of `statvfs(3)`.
pub fn free(directory: &Path) -> io::Result<u64> {
    let found = statvfs(directory)?;
    Ok(found.blocks_available().saturating_mul(found.fragment_size()))
}

/// The file is on a file system in memory (`tmpfs(5)`): no call waits for a disk.
///
/// # Errors
/// Those of `fstatfs(2)`.
pub fn is_in_memory(file: &File) -> io::Result<bool> {
    Ok(fstatfs(file)?.filesystem_type() == TMPFS_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_free_room_and_a_missing_one_is_an_error() {
        assert!(free(&std::env::temp_dir()).is_ok());
        assert!(!is_in_memory(&File::open("/proc").unwrap()).unwrap());
        let error = free(Path::new("/nowhere/at/all")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
