//! How much memory the files of bodies may take where there is no disk for them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The most that all such files of a worker may hold together, in bytes: 64 MiB.
const MOST: u64 = 64 << 20;

/// The memory that is left for such files.
#[derive(Clone, Debug)]
pub(crate) struct Allowance(Arc<AtomicU64>);

/// The share of one file; it is returned when the file is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    allowance: Allowance,
    bytes: u64,
}

impl Default for Allowance {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(MOST)))
    }
}

impl Allowance {
    /// A share for a new file.
    pub(crate) fn share(&self) -> Share {
        Share { allowance: self.clone(), bytes: 0 }
    }
}

impl Share {
    /// Makes the share large enough for a file of `length` bytes.
    ///
    /// # Errors
    /// `StorageFull` when less is left.
    pub(crate) fn grow(&mut self, length: u64) -> io::Result<()> {
        let more = length.saturating_sub(self.bytes);
        let take = |left: u64| left.checked_sub(more);
        let left = &self.allowance.0;
        if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            let text = format!(
                "there is no directory for temporary files, and the {} MiB of memory for bodies \
                 are in use",
                MOST >> 20
            );
            return Err(io::Error::new(io::ErrorKind::StorageFull, text));
        }
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.allowance.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_in_memory_have_a_total() {
        let allowance = Allowance::default();
        let (mut one, mut two) = (allowance.share(), allowance.share());
        one.grow(MOST - 1).unwrap();
        one.grow(5).unwrap();
        two.grow(1).unwrap();
        assert_eq!(two.grow(2).unwrap_err().kind(), io::ErrorKind::StorageFull);
        drop(one);
        two.grow(MOST).unwrap();
    }
}
