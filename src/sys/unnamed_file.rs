//! Makes files without a name.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::FromRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::check;

/// Makes a file in `directory` without a name; the kernel deletes it with its last
/// descriptor (`O_TMPFILE`, `open(2)`). If the file system does not support that, a file
/// with a name is made and unlinked at once.
///
/// # Errors
/// Those of `open(2)` and `mkostemp(3)`.
pub fn create(directory: &Path) -> io::Result<File> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC)
        .mode(0o600)
        .open(directory);
    match opened {
        Err(error) if lacks_unnamed_files(&error) => unlinked(directory),
        other => other,
    }
}

fn lacks_unnamed_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::ENOENT))
}

fn unlinked(directory: &Path) -> io::Result<File> {
    use std::os::unix::ffi::OsStrExt;
    let template = directory.join("monoceros-XXXXXX");
    let mut template = CString::new(template.as_os_str().as_bytes())?.into_bytes_with_nul();
    let at = template.as_mut_ptr().cast();
    // SAFETY: the template is a writable C string that ends in six X.
    let fd = check(unsafe { libc::mkostemp(at, libc::O_CLOEXEC) })?;
    // SAFETY: the kernel has just given us this descriptor.
    let file = unsafe { File::from_raw_fd(fd) };
    // SAFETY: mkostemp(3) leaves a C string in the buffer.
    check(unsafe { libc::unlink(at) })?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};

    #[test]
    fn an_unnamed_file_can_be_written_and_read() {
        for make in [create, unlinked] {
            let mut file = make(&std::env::temp_dir()).unwrap();
            file.write_all(b"hello").unwrap();
            file.rewind().unwrap();
            let mut read = String::new();
            file.read_to_string(&mut read).unwrap();
            assert_eq!(read, "hello");
        }
    }
}
