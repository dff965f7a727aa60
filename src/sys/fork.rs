//! Releases the server's resources in processes that the application forks.
//!
//! An application forks at any time: with `os.fork`, with `multiprocessing`, in a library.
//! The new process must be like one that a plain interpreter has forked. So it keeps no
//! resource of the worker. This is the list:
//!
//! | resource | where it is entered | in the forked process |
//! | --- | --- | --- |
//! | descriptors of the server | [`Private`], [`Mark`] | closed; their numbers stay taken |
//! | actions of signals | [`SignalActions`] | restored |
//! | blocked signals | `hold_back` | unblocked |
//! | shared memory | `Memory` | replaced by private zeros |
//! | the limit of descriptors | [`raise`](crate::limit::raise) | restored |
//!
//! Logs stay open, since the process may write to them. The files of spooled bodies stay
//! open too; the worker does not reuse them after a fork ([`count`]).
//!
//! A handler that is registered with the C library (`pthread_atfork(3)`) does this after
//! every fork, before other code runs in the new process. Signals are blocked from before the fork until
//! then: the worker's handlers must not run in the new process, where they would act on
//! the worker.
//!
//! The number of a released descriptor stays taken, by a descriptor that cannot be read
//! or written (`O_PATH`, open(2)). Code that still has the number fails with `EBADF`, and
//! cannot use a file that the application opens next.

use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use nix::sys::signal::SigSet;

use crate::descriptor::KERNEL_LIMIT;
use crate::limit;

/// The end of the numbers that can be marked.
const NUMBERS: usize = KERNEL_LIMIT;

/// The maximum number of registered actions.
const ACTIONS: usize = 64;

/// The maximum number of registered mappings.
const MAPPINGS: usize = 8;

/// One bit for each descriptor: whether a forked process releases it.
static MARKED: [AtomicU64; NUMBERS / 64] = [const { AtomicU64::new(0) }; NUMBERS / 64];

/// The end of the numbers that have been marked.
static MARKED_END: AtomicUsize = AtomicUsize::new(0);

/// The number of forks of this process.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Set in a process that an application has forked.
static FORKED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Set while this thread forks a process of the server, which keeps all resources.
    static KEEPS: Cell<bool> = const { Cell::new(false) };
    /// The signals that this thread had blocked before it forked.
    static BLOCKED: Cell<MaybeUninit<libc::sigset_t>> = const { Cell::new(MaybeUninit::uninit()) };
}

unsafe extern "C" {
    /// See `pthread_atfork(3)`.
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> libc::c_int;
}

/// From now on every process that is forked from this one, or from its descendants,
/// releases the registered resources.
pub fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        // SAFETY: the handlers call only functions that are safe between fork and exec
        // in a process with threads (signal-safety(7)).
        let result = unsafe { pthread_atfork(Some(prepare), Some(go_on), Some(let_go)) };
        debug_assert_eq!(result, 0, "pthread_atfork(3) lacks memory only");
    });
}

/// The number of forks of this process since [`watch`].
#[must_use]
pub fn count() -> u32 {
    COUNT.load(Ordering::Relaxed)
}

/// Whether an application has forked this process, so that it has released the server's
/// resources.
#[must_use]
pub fn is_forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// Forks a process of the server by `fork`; it keeps all resources.
pub(crate) fn keeping<T>(fork: impl FnOnce() -> T) -> T {
    KEEPS.set(true);
    let forked = fork();
    KEEPS.set(false);
    forked
}

extern "C" fn prepare() {
    if KEEPS.get() {
        return;
    }
    COUNT.fetch_add(1, Ordering::Relaxed);
    let mut before = MaybeUninit::uninit();
    let mut all = MaybeUninit::uninit();
    // SAFETY: the set is valid for writes.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: the first set is filled, and the other valid for writes; neither
    // call can fail with these arguments.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
    BLOCKED.set(before);
}

/// Runs after a fork in the process that has forked.
extern "C" fn go_on() {
    if !KEEPS.get() {
        restore_mask(&BLOCKED.get());
    }
}

/// Runs after a fork in the new process. It has one thread; what the other threads were
/// doing is not known.
extern "C" fn let_go() {
    if KEEPS.get() {
        return;
    }
    FORKED.store(true, Ordering::Relaxed);
    restore_actions();
    let_go_of_descriptors();
    let_go_of_memory();
    limit::give_back();
    let mut mask = BLOCKED.get();
    let_through(&mut mask);
    restore_mask(&mask);
}

fn restore_mask(mask: &MaybeUninit<libc::sigset_t>) {
    // SAFETY: `prepare` has filled the mask, in this thread.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask.as_ptr(), std::ptr::null_mut()) };
}

// Descriptors.

/// Marks a descriptor: a forked process releases it. Dropping the mark closes nothing.
#[derive(Debug)]
pub struct Mark(RawFd);

impl Mark {
    /// Marks a descriptor that another value owns. Must be dropped before the descriptor
    /// is closed.
    pub fn new(fd: BorrowedFd) -> Self {
        let number = fd.as_raw_fd();
        if let Some((word, bit)) = place(number) {
            word.fetch_or(bit, Ordering::Relaxed);
            MARKED_END.fetch_max(number.unsigned_abs() as usize + 1, Ordering::Relaxed);
        }
        Self(number)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if let Some((word, bit)) = place(self.0) {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }
}

fn place(number: RawFd) -> Option<(&'static AtomicU64, u64)> {
    let number = usize::try_from(number).ok()?;
    Some((MARKED.get(number / 64)?, 1 << (number % 64)))
}

/// An owned descriptor that a forked process releases.
#[derive(Debug)]
pub struct Private {
    // Dropped first: after the close the number may belong to another file.
    _mark: Mark,
    fd: OwnedFd,
}

impl From<OwnedFd> for Private {
    fn from(fd: OwnedFd) -> Self {
        Self { _mark: Mark::new(fd.as_fd()), fd }
    }
}

impl AsFd for Private {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn let_go_of_descriptors() {
    let end = MARKED_END.load(Ordering::Relaxed);
    let words = MARKED.iter().take(end.div_ceil(64)).enumerate();
    let mut nowhere = None;
    for (index, word) in words {
        let mut bits = word.swap(0, Ordering::Relaxed);
        while bits != 0 {
            let number = (index * 64) as RawFd + bits.trailing_zeros().cast_signed();
            bits &= bits - 1;
            nowhere = lead_nowhere(number, nowhere);
        }
    }
    if let Some(nowhere) = nowhere {
        // SAFETY: the descriptor is this function's.
        unsafe { libc::close(nowhere) };
    }
}

/// Replaces the file of a descriptor by `nowhere`, or by a new `O_PATH` descriptor if
/// there is none. Returns the `O_PATH` descriptor.
fn lead_nowhere(number: RawFd, nowhere: Option<RawFd>) -> Option<RawFd> {
    let nowhere = nowhere.or_else(open_nowhere).or_else(|| {
        // The limit of descriptors is reached: closing this one makes room.
        // SAFETY: takes a number only; it is one of ours.
        unsafe { libc::close(number) };
        open_nowhere()
    });
    match nowhere {
        // The new descriptor has got the number that was closed.
        Some(it) if it == number => None,
        Some(it) => {
            // SAFETY: takes numbers only; the target is one of ours.
            unsafe { libc::dup3(it, number, libc::O_CLOEXEC) };
            Some(it)
        }
        None => None,
    }
}

fn open_nowhere() -> Option<RawFd> {
    [c"/dev/null", c"/"].iter().find_map(|path| {
        // SAFETY: the path is a C string.
        let fd = unsafe { libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
        (fd >= 0).then_some(fd)
    })
}

// Signals.

/// The action of a signal, and the one before.
struct ActionEntry {
    signal: libc::c_int,
    ours: libc::sighandler_t,
    before: libc::sigaction,
}

struct Entries([UnsafeCell<MaybeUninit<ActionEntry>>; ACTIONS]);

// SAFETY: an entry is written by the one `SignalActions` that exists at a time, before
// `ENTERED` counts it, and read by a process with one thread.
unsafe impl Sync for Entries {}

static ENTRIES: Entries = Entries([const { UnsafeCell::new(MaybeUninit::uninit()) }; ACTIONS]);
static ENTERED: AtomicUsize = AtomicUsize::new(0);

/// Registers signals whose actions are about to be changed. A forked process restores the
/// former actions of those that the application has not changed since, the last one
/// first.
#[derive(Debug)]
pub struct SignalActions {
    /// The number of entries before these.
    first: usize,
}

impl SignalActions {
    /// Changes the actions of these signals by `change`.
    pub fn enter<T>(signals: &[libc::c_int], change: impl FnOnce() -> T) -> (Self, T) {
        static ENTERING: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _alone = ENTERING.lock();
        let before: Vec<_> = signals.iter().map(|signal| action_of(*signal)).collect();
        let changed = change();
        let first = ENTERED.load(Ordering::Relaxed);
        let entries = signals.iter().zip(before).zip(&ENTRIES.0[first.min(ACTIONS)..]);
        let mut end = first;
        for ((signal, before), room) in entries {
            let ours = action_of(*signal).sa_sigaction;
            // SAFETY: only the holder of the lock reads or writes beyond
            // `ENTERED`.
            unsafe {
                *room.get() = MaybeUninit::new(ActionEntry { signal: *signal, ours, before })
            };
            end += 1;
        }
        ENTERED.store(end, Ordering::Release);
        (Self { first }, changed)
    }

    /// Removes these entries and all later ones, after their former actions have been
    /// restored.
    pub fn withdraw(self) {
        ENTERED.fetch_min(self.first, Ordering::Release);
    }
}

/// The action of a signal; the default one if the signal does not exist.
pub(crate) fn action_of(signal: libc::c_int) -> libc::sigaction {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the record is valid for writes, and nothing is changed.
    unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all-zero bytes are a valid action, and so is what the call wrote.
    unsafe { action.assume_init() }
}

fn restore_actions() {
    let count = ENTERED.swap(0, Ordering::Acquire);
    for room in ENTRIES.0[..count].iter().rev() {
        // SAFETY: nothing changes the entry: this process has one thread.
        let entry = unsafe { &*room.get() };
        // SAFETY: it was written before it was counted.
        let entry = unsafe { entry.assume_init_ref() };
        if action_of(entry.signal).sa_sigaction == entry.ours {
            // SAFETY: the action is one that the kernel has handed out for this
            // signal.
            unsafe { libc::sigaction(entry.signal, &raw const entry.before, std::ptr::null_mut()) };
        }
    }
}

/// The blocked signals, as a bit for each number.
static HELD_BACK: AtomicU64 = AtomicU64::new(0);

/// Registers the signals that the server blocks in this process; an empty set at the end.
pub(crate) fn hold_back(signals: &SigSet) {
    let bits = signals.iter().fold(0, |bits, signal| bits | 1 << signal as i32);
    HELD_BACK.store(bits, Ordering::Relaxed);
}

fn let_through(mask: &mut MaybeUninit<libc::sigset_t>) {
    let mut bits = HELD_BACK.swap(0, Ordering::Relaxed);
    while bits != 0 {
        let signal = bits.trailing_zeros().cast_signed();
        bits &= bits - 1;
        // SAFETY: `prepare` has filled the mask, in this thread.
        unsafe { libc::sigdelset(mask.as_mut_ptr(), signal) };
    }
}

// Memory.

#[derive(Debug)]
struct Mapping {
    start: AtomicPtr<libc::c_void>,
    length: AtomicUsize,
}

static MEMORY: [Mapping; MAPPINGS] = [const {
    Mapping { start: AtomicPtr::new(std::ptr::null_mut()), length: AtomicUsize::new(0) }
}; MAPPINGS];

/// Registers shared memory: in a forked process it is replaced by private zeros.
#[derive(Debug)]
pub(crate) struct Memory(Option<&'static Mapping>);

impl Memory {
    /// Registers a mapping. Must be dropped before the mapping is removed. The memory must
    /// be used only as types for which every bit pattern is valid.
    pub(crate) fn new(start: *mut libc::c_void, length: usize) -> Self {
        let null = std::ptr::null_mut();
        let free = MEMORY.iter().find(|it| {
            let (set, not) = (Ordering::AcqRel, Ordering::Relaxed);
            it.start.compare_exchange(null, start, set, not).is_ok()
        });
        if let Some(mapping) = free {
            mapping.length.store(length, Ordering::Release);
        }
        Self(free)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(mapping) = self.0 {
            mapping.length.store(0, Ordering::Relaxed);
            mapping.start.store(std::ptr::null_mut(), Ordering::Release);
        }
    }
}

fn let_go_of_memory() {
    for mapping in &MEMORY {
        let start = mapping.start.load(Ordering::Acquire);
        let length = mapping.length.load(Ordering::Acquire);
        if start.is_null() || length == 0 {
            continue;
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: the range is a mapping of this process and stays mapped, and every byte
        // value is valid in it.
        unsafe { libc::mmap(start, length, protection, flags, -1, 0) };
    }
}
