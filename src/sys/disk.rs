//! File systems: their room, and whether they are in memory.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::sys::statfs::{
    FUSE_SUPER_MAGIC, FsType, NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, TMPFS_MAGIC, fstatfs, statfs,
};
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

/// File systems whose files other machines, or the host of a virtual machine, can change without
/// notice to this kernel: NFS, SMB in its three forms, FUSE, 9p, virtiofs, shares of VirtualBox,
/// AFS, Ceph (`statfs(2)`).
const SHARED: [FsType; 10] = [
    NFS_SUPER_MAGIC,
    SMB_SUPER_MAGIC,
    FsType(0xfe53_4d42),
    FsType(0xff53_4d42),
    FUSE_SUPER_MAGIC,
    FsType(0x0102_1997),
    FsType(0x6a65_6a63),
    FsType(0x786f_4256),
    FsType(0x5346_414f),
    FsType(0x00c3_6400),
];

/// The directory is on a file system that others may change without notice to this kernel, so
/// that `inotify(7)` reports only a part of the changes.
///
/// # Errors
/// Those of `statfs(2)`.
pub fn is_shared(directory: &Path) -> io::Result<bool> {
    Ok(SHARED.contains(&statfs(directory)?.filesystem_type()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_kernel_are_not_shared() {
        assert!(!is_shared(Path::new("/proc")).unwrap());
        assert!(is_shared(Path::new("/nowhere/at/all")).is_err());
    }

    #[test]
    fn a_directory_has_free_room_and_a_missing_one_is_an_error() {
        assert!(free(&std::env::temp_dir()).is_ok());
        assert!(!is_in_memory(&File::open("/proc").unwrap()).unwrap());
        let error = free(Path::new("/nowhere/at/all")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
