//! Blocks signals for a time, so that they are read, in a process whose handlers are the
//! application's. The handlers are restored afterwards.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::check;
use crate::fork::{self, Mark, SignalActions};

/// Signals that are blocked, and read from a descriptor. Unlike
/// [`Signals`](crate::signal::Signals) this can be undone completely, also in a process
/// that was forked meanwhile, in which no signal is pending.
#[derive(Debug)]
pub struct BlockedSignals {
    _mark: Mark,
    pending: SignalFd,
    entered: SignalActions,
    /// The signals that this thread had blocked before.
    mask: SigSet,
    /// The actions of the signals before.
    actions: Vec<(libc::c_int, libc::sigaction)>,
}

impl BlockedSignals {
    /// Blocks these signals. Must be called on the main thread. Another thread that gets
    /// one of them sends it to the main thread.
    ///
    /// # Errors
    /// Those of `sigaction(2)` and `signalfd(2)`.
    pub fn new(signals: &[libc::c_int]) -> io::Result<Self> {
        let mut held = SigSet::empty();
        for signal in signals {
            held.add(Signal::try_from(*signal)?);
        }
        let pending = SignalFd::with_flags(&held, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let mut mask = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&held), Some(&mut mask))?;
        let mut without_us = held;
        mask.iter().for_each(|blocked| without_us.remove(blocked));
        fork::hold_back(&without_us);
        let pass_on = pass_on as extern "C" fn(libc::c_int);
        let replace = |signal: &libc::c_int| {
            Ok((*signal, replace_action(*signal, pass_on as libc::sighandler_t)?))
        };
        let (entered, actions) = SignalActions::enter(signals, || {
            signals.iter().map(replace).collect::<io::Result<_>>()
        });
        Ok(Self { _mark: Mark::new(pending.as_fd()), pending, entered, mask, actions: actions? })
    }

    /// The next signal that has arrived, if there is one.
    ///
    /// # Errors
    /// Those of `read(2)`, but for `EAGAIN`.
    pub fn take(&self) -> io::Result<Option<libc::c_int>> {
        let found = self.pending.read_signal()?;
        Ok(found.and_then(|found| libc::c_int::try_from(found.ssi_signo).ok()))
    }

    /// Restores the actions and the mask.
    ///
    /// # Errors
    /// Those of `sigaction(2)`.
    pub fn release(self) -> io::Result<()> {
        for (signal, action) in &self.actions {
            // SAFETY: the action is one that the kernel has handed out for this
            // signal, and its handler is still the program's.
            check(unsafe { libc::sigaction(*signal, action, std::ptr::null_mut()) })?;
        }
        self.entered.withdraw();
        fork::hold_back(&SigSet::empty());
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.mask), None)?;
        Ok(())
    }
}

impl AsFd for BlockedSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pending.as_fd()
    }
}

/// Handles a signal that another thread got: sends it to the main thread, which has it
/// blocked.
extern "C" fn pass_on(signal: libc::c_int) {
    // SAFETY: takes nothing; the number of the main thread is the process's.
    let main = unsafe { libc::getpid() };
    // SAFETY: takes numbers only, and may be called in a handler.
    unsafe { libc::syscall(libc::SYS_tgkill, main, main, signal) };
}

/// Sets the action or handler of a signal, and returns the former action.
fn replace_action(signal: libc::c_int, action: libc::sighandler_t) -> io::Result<libc::sigaction> {
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all-zero bytes are a valid action, without handler and flags.
    let mut new = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
    new.sa_sigaction = action;
    new.sa_flags = libc::SA_RESTART;
    // SAFETY: both records are valid; what handlers of ours do may be done in one.
    check(unsafe { libc::sigaction(signal, &raw const new, before.as_mut_ptr()) })?;
    // SAFETY: the call has filled it.
    Ok(unsafe { before.assume_init() })
}

#[cfg(test)]
mod tests {
    use super::*;

    // All in one test: actions belong to the whole process.
    #[test]
    fn held_signals_can_be_read_and_get_their_actions_back() {
        let before = replace_action(libc::SIGWINCH, libc::SIG_DFL).unwrap();
        let held = BlockedSignals::new(&[libc::SIGWINCH, libc::SIGUSR2]).unwrap();
        assert_eq!(held.take().unwrap(), None);
        signal_hook::low_level::raise(libc::SIGUSR2).unwrap();
        signal_hook::low_level::raise(libc::SIGWINCH).unwrap();
        let mut found = [held.take().unwrap(), held.take().unwrap()];
        found.sort_unstable();
        let mut expected = [Some(libc::SIGUSR2), Some(libc::SIGWINCH)];
        expected.sort_unstable();
        assert_eq!(found, expected);
        held.release().unwrap();
        let after = replace_action(libc::SIGWINCH, libc::SIG_DFL).unwrap();
        assert_eq!(before.sa_sigaction, after.sa_sigaction);
    }
}
