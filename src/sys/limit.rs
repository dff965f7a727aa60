//! The limit of descriptors (`RLIMIT_NOFILE`, getrlimit(2)).
//!
//! The soft limit is mostly 1024: programs that use select(2) can have no more. A server
//! needs more, so it raises its soft limit to the hard limit. Other processes get the
//! former limit: programs that [`Process::start`](crate::process::Process::start)
//! executes, processes that the application forks (`fork.rs`), and programs that are
//! started while the limit is [lowered](Lowered).

use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::check;
use crate::descriptor::KERNEL_LIMIT;

/// No limit above the kernel's own is set.
const MOST: u64 = KERNEL_LIMIT as u64;

/// The maximum time to wait until the limit is raised again, in milliseconds.
const PATIENCE: u32 = 200;

/// The soft limit before it was raised; 0 if it was not raised.
static FORMER: AtomicU64 = AtomicU64::new(0);
/// The soft limit after it was raised.
static RAISED: AtomicU64 = AtomicU64::new(0);
/// The number of [`Lowered`] values.
static LOWERED: AtomicU32 = AtomicU32::new(0);
/// Held while the limit is changed.
static CHANGING: Mutex<()> = Mutex::new(());

/// Raises the soft limit of this process to the hard limit. This process and the workers
/// that it forks keep the former limit in memory.
///
/// # Errors
/// Those of `setrlimit(2)`.
pub fn raise() -> io::Result<()> {
    let mut limit = current()?;
    let wanted = limit.rlim_max.min(MOST);
    if limit.rlim_cur >= wanted {
        return Ok(());
    }
    let former = limit.rlim_cur;
    limit.rlim_cur = wanted;
    set(limit)?;
    RAISED.store(wanted, Ordering::SeqCst);
    FORMER.store(former, Ordering::SeqCst);
    Ok(())
}

/// Restores the former limit permanently. Does nothing if the application has set another
/// limit, or if so many descriptors are open that no more could be opened. Safe between
/// fork and exec in a process with threads.
pub(crate) fn give_back() {
    let former = FORMER.swap(0, Ordering::SeqCst);
    if former == 0 || !change(RAISED.load(Ordering::SeqCst), former) {
        return;
    }
    // SAFETY: takes numbers only. The copy is of this process's own, and closed.
    let probe = unsafe { libc::open(c"/".as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
    if probe >= 0 {
        // SAFETY: the descriptor is this function's.
        unsafe { libc::close(probe) };
    } else {
        change(former, RAISED.load(Ordering::SeqCst));
    }
}

/// The limit is the former one while this value exists, for a program that is started
/// meanwhile. A thread that cannot get a descriptor then calls [`wait_until_raised`].
#[derive(Debug)]
pub struct Lowered(());

impl Lowered {
    /// Lowers the limit.
    #[must_use]
    pub fn begin() -> Self {
        if let former @ 1.. = FORMER.load(Ordering::SeqCst) {
            let _alone = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
            if LOWERED.fetch_add(1, Ordering::SeqCst) == 0 {
                change(RAISED.load(Ordering::SeqCst), former);
            }
        }
        Self(())
    }
}

impl Drop for Lowered {
    fn drop(&mut self) {
        // A forked process has restored its limit.
        if let former @ 1.. = FORMER.load(Ordering::SeqCst) {
            let _alone = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
            if LOWERED.fetch_sub(1, Ordering::SeqCst) == 1 {
                change(former, RAISED.load(Ordering::SeqCst));
            }
        }
    }
}

/// Waits while a program is being started, after no descriptor could be opened
/// (`EMFILE`). Returns whether the caller should try again.
#[must_use]
pub fn wait_until_raised() -> bool {
    let is_lowered = || LOWERED.load(Ordering::SeqCst) > 0;
    if !is_lowered() {
        return false;
    }
    for _ in 0..PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
        if !is_lowered() {
            break;
        }
    }
    true
}

/// Changes the soft limit if it is `from`, and returns whether it was.
fn change(from: u64, to: u64) -> bool {
    match current() {
        Ok(limit) if limit.rlim_cur == from => {
            let to = to.min(limit.rlim_max);
            set(libc::rlimit { rlim_cur: to, ..limit }).is_ok()
        }
        _ => false,
    }
}

fn current() -> io::Result<libc::rlimit> {
    let mut limit = MaybeUninit::uninit();
    // SAFETY: the record is valid for writes.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, limit.as_mut_ptr()) })?;
    // SAFETY: the call has written it.
    Ok(unsafe { limit.assume_init() })
}

fn set(limit: libc::rlimit) -> io::Result<()> {
    // SAFETY: the record is valid for reads.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }).map(drop)
}
