//! Threads of this process, by the kernel's information.

use std::fs::File;
use std::io::{self, Read};

use nix::sys::signal::{SigSet, Signal};

use crate::signal::CRASHES;

/// The number of this thread, as in `/proc/PID/task` (`gettid(2)`).
#[must_use]
pub fn id() -> u32 {
    nix::unistd::gettid().as_raw().unsigned_abs()
}

/// The number of this thread in its process (`pthread_self(3)`), which Python's stacks have.
#[must_use]
#[allow(clippy::unnecessary_cast, reason = "the type is a pointer in another C library")]
pub fn pthread() -> u64 {
    // SAFETY: the call has no condition and cannot fail.
    unsafe { libc::pthread_self() as u64 }
}

/// Fails unless the calling thread is the only one of this process. For forks, which copy
/// the calling thread only, and for changes that another thread must not see half done.
/// Afterwards only this thread can start another one.
///
/// # Errors
/// `Unsupported` when there are other threads; those of `open(2)` where
/// `/proc/self/task` cannot be read.
pub(crate) fn require_single() -> io::Result<()> {
    match std::fs::read_dir("/proc/self/task")?.count() {
        1 => Ok(()),
        count => {
            let text = format!("this process has {count} threads, and may have one only");
            Err(io::Error::new(io::ErrorKind::Unsupported, text))
        }
    }
}

/// Blocks all signals for the calling thread but those of a crash: other threads of the
/// process get them.
///
/// # Errors
/// Those of `pthread_sigmask(3)`.
pub fn block_signals() -> io::Result<()> {
    let mut blocked = SigSet::all();
    for signal in CRASHES {
        blocked.remove(Signal::try_from(signal)?);
    }
    Ok(blocked.thread_block()?)
}

/// The number of processors that this process may use, at least 1
/// (`sched_getaffinity(2)`, and the quota of its control group).
#[must_use]
pub fn processors() -> u32 {
    std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1))
}

/// A reference to a thread of this process, which may have ended.
#[derive(Clone, Copy, Debug)]
pub struct ThreadHandle {
    id: u32,
    clock: Option<libc::clockid_t>,
}

impl ThreadHandle {
    /// The calling thread.
    #[must_use]
    pub fn current() -> Self {
        let mut clock: libc::clockid_t = 0;
        // SAFETY: has no preconditions.
        let own = unsafe { libc::pthread_self() };
        // SAFETY: a thread's own handle is valid, and `clock` is writable.
        let error = unsafe { libc::pthread_getcpuclockid(own, &raw mut clock) };
        Self { id: id(), clock: (error == 0).then_some(clock) }
    }

    /// The processor time that it has used, in microseconds
    /// (`pthread_getcpuclockid(3)`); `None` when it has ended.
    #[must_use]
    pub fn cpu_us(self) -> Option<u64> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is writable; the clock of a thread that has ended is an
        // error (clock_gettime(2)).
        let result = unsafe { libc::clock_gettime(self.clock?, &raw mut time) };
        let micros = time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_nsec.unsigned_abs() / 1_000;
        (result == 0).then_some(micros)
    }

    /// Whether it runs, or waits only for a processor; `None` if the kernel does not
    /// report it (`/proc/PID/task/TID/stat`, `proc(5)`).
    #[must_use]
    pub fn is_runnable(self) -> Option<bool> {
        let mut bytes = [0; 128];
        let mut file = File::open(format!("/proc/self/task/{}/stat", self.id)).ok()?;
        let count = file.read(&mut bytes).ok()?;
        // The state follows the name, which is in parentheses.
        let end = bytes[..count].iter().rposition(|&byte| byte == b')')?;
        Some(*bytes.get(end + 2)? == b'R')
    }
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

    #[test]
    fn a_process_with_a_second_thread_is_refused() {
        let (send, receive) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || receive.recv().ok());
        assert_eq!(require_single().unwrap_err().kind(), io::ErrorKind::Unsupported);
        drop(send);
        other.join().unwrap();
    }

    #[test]
    fn a_thread_that_computes_differs_from_one_that_waits() {
        assert_eq!(ThreadHandle::current().is_runnable(), Some(true));
        let (send, receive) = std::sync::mpsc::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let other = std::thread::spawn(move || {
            tell.send(ThreadHandle::current()).unwrap();
            receive.recv().ok();
        });
        let thread = told.recv().unwrap();
        while thread.is_runnable() == Some(true) {
            std::thread::yield_now();
        }
        assert!(thread.cpu_us().is_some());
        drop(send);
        other.join().unwrap();
    }

    #[test]
    fn blocked_signals_are_those_without_a_crash() {
        let blocked = std::thread::spawn(|| {
            block_signals().unwrap();
            SigSet::thread_get_mask().unwrap()
        });
        let blocked = blocked.join().unwrap();
        assert!(blocked.contains(Signal::SIGTERM) && !blocked.contains(Signal::SIGSEGV));
    }

    #[test]
    fn processor_time_is_what_a_thread_has_used() {
        let thread = ThreadHandle::current();
        let before = thread.cpu_us().unwrap();
        while thread.cpu_us().unwrap() < before + 1_000 {
            std::hint::spin_loop();
        }
        assert!(processors() >= 1);
    }
}
