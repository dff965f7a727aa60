//! A descriptor that another thread makes readable: `eventfd(2)`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::fork::Mark;

/// The descriptor. A process that an application forks loses it.
#[derive(Debug)]
pub struct EventDescriptor {
    fd: EventFd,
    _mark: Mark,
}

impl EventDescriptor {
    /// One that is not readable.
    ///
    /// # Errors
    /// Those of `eventfd(2)`.
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let fd = EventFd::from_flags(flags)?;
        let mark = Mark::new(fd.as_fd());
        Ok(Self { fd, _mark: mark })
    }

    /// Makes it readable.
    pub fn raise(&self) {
        // Fails only when the counter is full; it is readable then.
        self.fd.write(1).ok();
    }

    /// Makes it not readable.
    pub fn clear(&self) {
        // Fails only when it is not readable already.
        self.fd.read().ok();
    }
}

impl AsFd for EventDescriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait;

    #[test]
    fn it_is_readable_from_raise_to_clear() {
        let descriptor = EventDescriptor::new().unwrap();
        assert!(!wait::is_readable(descriptor.as_fd()));
        descriptor.raise();
        descriptor.raise();
        assert!(wait::is_readable(descriptor.as_fd()));
        descriptor.clear();
        assert!(!wait::is_readable(descriptor.as_fd()));
        descriptor.clear();
    }
}
