//! Blocks signals while a process is made. The functions are safe between fork and exec.

use std::mem::MaybeUninit;

/// Blocks all signals, and returns the former mask. A handler of this process must not run
/// in the new one, where it would take signals for the program.
pub(super) fn hold_signals() -> libc::sigset_t {
    set_mask(&full_mask())
}

pub(super) fn release_signals(before: &libc::sigset_t) {
    set_mask(before);
}

fn full_mask() -> libc::sigset_t {
    let mut mask = MaybeUninit::uninit();
    // SAFETY: sigfillset(3) fills all of the mask, and cannot fail.
    unsafe { libc::sigfillset(mask.as_mut_ptr()) };
    // SAFETY: it is filled.
    unsafe { mask.assume_init() }
}

pub(super) fn empty_mask() -> libc::sigset_t {
    let mut mask = MaybeUninit::uninit();
    // SAFETY: sigemptyset(3) fills all of the mask, and cannot fail.
    unsafe { libc::sigemptyset(mask.as_mut_ptr()) };
    // SAFETY: it is filled.
    unsafe { mask.assume_init() }
}

pub(super) fn set_mask(mask: &libc::sigset_t) -> libc::sigset_t {
    let mut before = empty_mask();
    // SAFETY: both masks are valid.
    let result = unsafe { libc::sigprocmask(libc::SIG_SETMASK, mask, &raw mut before) };
    debug_assert_eq!(result, 0, "sigprocmask(2) knows SIG_SETMASK");
    before
}
