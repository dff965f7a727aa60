//! Reads signals as events, sets their actions, and converts their names.

use std::borrow::Cow;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

use crate::fork::{Mark, SignalActions, action_of};

/// A child process has ended.
pub const CHLD: i32 = libc::SIGCHLD;
/// Hang-up.
pub const HUP: i32 = libc::SIGHUP;
/// Interrupt, as by Ctrl-C.
pub const INT: i32 = libc::SIGINT;
/// Kill.
pub const KILL: i32 = libc::SIGKILL;
/// Quit.
pub const QUIT: i32 = libc::SIGQUIT;
/// Request to end.
pub const TERM: i32 = libc::SIGTERM;
/// User-defined signal 1.
pub const USR1: i32 = libc::SIGUSR1;
/// User-defined signal 2.
pub const USR2: i32 = libc::SIGUSR2;
/// The size of the terminal has changed.
pub const WINCH: i32 = libc::SIGWINCH;

/// The signals of a crash, for which Python's `faulthandler` writes the stacks.
pub const CRASHES: [i32; 5] =
    [libc::SIGSEGV, libc::SIGFPE, libc::SIGABRT, libc::SIGBUS, libc::SIGILL];

/// Signals that are collected, and read as an event.
#[derive(Debug)]
pub struct Signals {
    _marks: [Mark; 2],
    delivery: SignalDelivery<UnixStream, SignalOnly>,
}

impl Signals {
    /// From now on collects these signals, also those that this process's parent has
    /// ignored or blocked, which `execve(2)` keeps. A program that is executed has their
    /// default actions again. Former handlers are called too, and interrupt the same
    /// calls as before. Must be called by a process with one thread, since each thread has
    /// its own mask.
    ///
    /// # Errors
    /// Those of `socketpair(2)`, `sigaction(2)` and `sigprocmask(2)`.
    pub fn collect(signals: &[i32]) -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        let marks = [Mark::new(read.as_fd()), Mark::new(write.as_fd())];
        let interrupting = signals.iter().copied().filter(|it| interrupts(&action_of(*it)));
        let interrupting: Vec<_> = interrupting.collect();
        let collect = || {
            let delivery = SignalDelivery::with_pipe(read, write, SignalOnly, signals);
            interrupting.iter().for_each(|signal| interrupt(*signal));
            delivery
        };
        let (_, delivery) = SignalActions::enter(signals, collect);
        let mut heard = SigSet::empty();
        for signal in signals {
            heard.add(Signal::try_from(*signal)?);
        }
        heard.thread_unblock()?;
        Ok(Self { _marks: marks, delivery: delivery? })
    }

    /// The signals that have arrived since the last call, each once.
    pub fn take(&mut self) -> Vec<i32> {
        self.delivery.pending().collect()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }
}

/// Whether the handler of this action interrupts system calls.
fn interrupts(action: &libc::sigaction) -> bool {
    let handled = ![libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction);
    handled && action.sa_flags & libc::SA_RESTART == 0
}

/// Makes the handler of a signal interrupt system calls (clears `SA_RESTART`,
/// sigaction(2)).
fn interrupt(signal: i32) {
    let mut action = action_of(signal);
    action.sa_flags &= !libc::SA_RESTART;
    // SAFETY: the action is the one that the signal has, but for the flag.
    unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
}

/// Ignores the signals that end a process by default but have another purpose
/// (`signal(7)`): timers, notifications about descriptors and power, the real-time
/// signals. Also ignores `SIGXFSZ`, so that a write beyond the limit of a file's size
/// returns an error (`setrlimit(2)`). A program that is executed has their default
/// actions again.
pub fn ignore_meaningless() {
    const MEANINGLESS: [i32; 8] = [
        libc::SIGALRM,
        libc::SIGIO,
        libc::SIGPIPE,
        libc::SIGPROF,
        libc::SIGPWR,
        libc::SIGSTKFLT,
        libc::SIGVTALRM,
        libc::SIGXFSZ,
    ];
    for signal in MEANINGLESS.into_iter().chain(libc::SIGRTMIN()..=libc::SIGRTMAX()) {
        // SAFETY: ignoring runs nothing of ours, and these can be ignored.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Gives these signals a handler that does nothing. Names that do not exist are skipped.
/// `SIG_IGN` would be inherited by programs that this process starts; a handler is not.
pub fn disregard<'a>(names: impl IntoIterator<Item = &'a str>) {
    extern "C" fn nothing(_: libc::c_int) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::SA_RESTART, SigSet::empty());
    let signals: Vec<_> = names.into_iter().filter_map(|name| name.parse().ok()).collect();
    let numbers: Vec<_> = signals.iter().map(|signal: &Signal| *signal as i32).collect();
    let replace = |signal: &Signal| {
        // SAFETY: the handler does nothing, which is safe at any time.
        let replaced = unsafe { sigaction(*signal, &action) };
        debug_assert!(replaced.is_ok(), "sigaction(2) knows {signal}");
    };
    SignalActions::enter(&numbers, || signals.iter().for_each(replace));
}

/// A signal that the calling thread does not get until this is dropped; then it gets one that
/// has arrived meanwhile.
#[derive(Debug)]
pub struct HeldSignal {
    before: SigSet,
}

impl HeldSignal {
    /// Holds a signal back.
    ///
    /// # Errors
    /// `EINVAL` for a number that is no signal; those of `pthread_sigmask(3)`.
    pub fn hold(signal: i32) -> io::Result<Self> {
        let mut held = SigSet::empty();
        held.add(Signal::try_from(signal)?);
        Ok(Self { before: held.thread_swap_mask(SigmaskHow::SIG_BLOCK)? })
    }
}

impl Drop for HeldSignal {
    fn drop(&mut self) {
        let restored = self.before.thread_set_mask();
        debug_assert!(restored.is_ok(), "a mask that was in use is valid");
    }
}

/// Sends a signal to this process as a whole, as another process would. The main thread
/// gets it, unless it has blocked it.
pub fn raise(signal: i32) {
    let own = std::process::id().cast_signed();
    // SAFETY: takes numbers only; the pid is this process's.
    unsafe { libc::kill(own, signal) };
}

/// The address of a signal's handler; `None` when the signal is ignored or has its default
/// action.
#[must_use]
pub fn handler(signal: i32) -> Option<usize> {
    let handler = action_of(signal).sa_sigaction;
    (handler != libc::SIG_DFL && handler != libc::SIG_IGN).then_some(handler)
}

/// The number of a signal by its name, such as `SIGTERM`.
#[must_use]
pub fn number(name: &str) -> Option<i32> {
    name.parse::<Signal>().ok().map(|signal| signal as i32)
}

/// The name of a signal, such as `SIGSEGV`.
#[must_use]
pub fn name(signal: i32) -> Cow<'static, str> {
    match Signal::try_from(signal) {
        Ok(known) => Cow::Borrowed(known.as_str()),
        Err(_) => Cow::Owned(format!("signal {signal}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_waits_to_be_read() {
        let mut signals = Signals::collect(&[libc::SIGURG]).unwrap();
        assert!(signals.take().is_empty());
        signal_hook::low_level::raise(libc::SIGURG).unwrap();
        assert_eq!(signals.take(), [libc::SIGURG]);
        assert!(signals.take().is_empty());
    }

    #[test]
    fn a_signal_that_was_blocked_is_collected() {
        let mut blocked = SigSet::empty();
        blocked.add(Signal::SIGIO);
        blocked.thread_block().unwrap();
        signal_hook::low_level::raise(libc::SIGIO).unwrap();
        let mut signals = Signals::collect(&[libc::SIGIO]).unwrap();
        assert_eq!(signals.take(), [libc::SIGIO]);
    }

    #[test]
    fn a_signal_is_held_back() {
        let is_blocked = || SigSet::thread_get_mask().unwrap().contains(Signal::SIGTTIN);
        let held = HeldSignal::hold(libc::SIGTTIN).unwrap();
        assert!(is_blocked());
        drop(held);
        assert!(!is_blocked());
        assert!(HeldSignal::hold(4_000).is_err());
    }

    #[test]
    fn signals_have_names() {
        assert_eq!(name(libc::SIGKILL), "SIGKILL");
        assert_eq!(name(63), "signal 63");
        assert_eq!(number("SIGTERM"), Some(TERM));
        assert_eq!(number("TERM"), None);
    }
}
