//! Threads as the kernel numbers them.

/// The number of this thread, as in `/proc/PID/task` (`gettid(2)`).
#[must_use]
pub fn id() -> u32 {
    nix::unistd::gettid().as_raw().unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_has_its_own_number() {
        let other = std::thread::spawn(id).join().unwrap();
        assert_ne!(other, id());
        assert!(std::path::Path::new(&format!("/proc/self/task/{}", id())).exists());
    }
}
