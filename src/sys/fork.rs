//! What a process that is forked from one of ours keeps, and what it lets go of.
//!
//! An application forks when it likes: with `os.fork`, with `multiprocessing`, in
//! a library. Its process is to be one that a plain interpreter has forked, so
//! everything that makes a worker a worker is let go of in it: this is the list.
//!
//! | resource | where it is entered | in the forked process |
//! | --- | --- | --- |
//! | descriptors of ours | [`Private`], [`Mark`] | lead nowhere |
//! | actions of signals | [`SignalActions`] | as they were before |
//! | signals held back | `hold_back` | let through |
//! | shared memory | `Memory` | a private copy of nothing |
//! | the limit of descriptors | [`raise`](crate::limit::raise) | as it was before |
//!
//! Logs are kept: what the process writes to them is wanted. So are the files of
//! bodies, which have no name, and of which the process that forks knows
//! ([`count`]).
//!
//! It happens in a handler of the C library (`pthread_atfork(3)`), wherever the
//! fork comes from, before the new process runs anything else. Signals are
//! blocked from before the fork until then: one that ends the new process must
//! not be taken for one to this.
//!
//! A number that is let go of stays taken, by a descriptor that leads nowhere
//! (`O_PATH`, open(2)): what still knows it fails with `EBADF`, and cannot reach
//! what the application opens next.

use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use nix::sys::signal::SigSet;

use crate::limit;

/// Descriptors from this number on are not let go of. No process has so many:
/// it is the kernel's own limit (`fs.nr_open`, proc(5)).
const NUMBERS: usize = 1 << 20;

/// The most actions of signals that are entered at a time.
const ACTIONS: usize = 64;

/// The most mappings that are entered at a time.
const MAPPINGS: usize = 8;

/// One bit for each descriptor: it is let go of in a forked process.
static MARKED: [AtomicU64; NUMBERS / 64] = [const { AtomicU64::new(0) }; NUMBERS / 64];

/// No descriptor from this number on was ever marked.
static MARKED_END: AtomicUsize = AtomicUsize::new(0);

/// How often this process has forked.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// This process was forked by an application.
static FORKED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// This thread makes a process that keeps everything.
    static KEEPS: Cell<bool> = const { Cell::new(false) };
    /// The signals that this thread had blocked before it forked.
    static BLOCKED: Cell<MaybeUninit<libc::sigset_t>> = const { Cell::new(MaybeUninit::uninit()) };
}

unsafe extern "C" {
    /// As `pthread_atfork(3)` has it.
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> libc::c_int;
}

/// From now on a process that is forked from this one, or from one of its own,
/// lets go of what is entered here.
pub fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        // SAFETY: the handlers call nothing but what is safe between a fork and
        // an exec of a process with threads (signal-safety(7)).
        let result = unsafe { pthread_atfork(Some(prepare), Some(go_on), Some(let_go)) };
        debug_assert_eq!(result, 0, "pthread_atfork(3) lacks memory only");
    });
}

/// How often this process has forked, as far as forks are watched.
#[must_use]
pub fn count() -> u32 {
    COUNT.load(Ordering::Relaxed)
}

/// Whether this process was forked by an application, and has let go of
/// everything.
#[must_use]
pub fn is_forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// Forks by `fork` a process of our own, which keeps everything.
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

/// In the process that has forked.
extern "C" fn go_on() {
    if !KEEPS.get() {
        restore_mask(&BLOCKED.get());
    }
}

/// In the new process. It has one thread; what the others were doing is not known.
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

/// A descriptor that leads nowhere in a forked process, for as long as this is
/// there. Dropping it closes nothing.
#[derive(Debug)]
pub struct Mark(RawFd);

impl Mark {
    /// Enters a descriptor that another value owns; it is to be dropped before
    /// the descriptor is closed.
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

/// A descriptor of a worker's own.
#[derive(Debug)]
pub struct Private {
    // Dropped first: the number may be used again once it is closed.
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

/// Lets a number lead nowhere, by a copy of `nowhere` if there is one. Returns a
/// descriptor that leads there.
fn lead_nowhere(number: RawFd, nowhere: Option<RawFd>) -> Option<RawFd> {
    let nowhere = nowhere.or_else(open_nowhere).or_else(|| {
        // No room for one more: there is for one instead.
        // SAFETY: takes a number only; it is one of ours.
        unsafe { libc::close(number) };
        open_nowhere()
    });
    match nowhere {
        // It has got the number that was closed, and stays.
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

/// What a signal does, and did before.
struct ActionEntry {
    signal: libc::c_int,
    ours: libc::sighandler_t,
    before: libc::sigaction,
}

struct Entries([UnsafeCell<MaybeUninit<ActionEntry>>; ACTIONS]);

// SAFETY: an entry is written by the one `SignalActions` that there is at a time, before
// `ENTERED` says that it is there, and read by a process with one thread.
unsafe impl Sync for Entries {}

static ENTRIES: Entries = Entries([const { UnsafeCell::new(MaybeUninit::uninit()) }; ACTIONS]);
static ENTERED: AtomicUsize = AtomicUsize::new(0);

/// Enters signals whose actions are about to be changed. In a forked process
/// those whose actions are then still ours get back what they had before; the
/// last one that was entered comes first.
#[derive(Debug)]
pub struct SignalActions {
    /// How many were entered before these.
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

    /// The signals have their former actions again: they are as if never entered,
    /// and those that were entered after them as well.
    pub fn withdraw(self) {
        ENTERED.fetch_min(self.first, Ordering::Release);
    }
}

/// The action of a signal; the default one if there is no such signal.
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

/// Signals that are held back, as a bit for each number.
static HELD_BACK: AtomicU64 = AtomicU64::new(0);

/// Enters the signals that are held back in this process, and would not be
/// without us; none, when it is over.
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

/// Shared memory that is zeros of its own in a forked process, for as long as
/// this is there.
#[derive(Debug)]
pub(crate) struct Memory(Option<&'static Mapping>);

impl Memory {
    /// Enters a mapping; it is to be dropped before that is undone. The memory is
    /// only ever used as what may have any bits.
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
        // SAFETY: the range is a mapping of ours whose content may become
        // anything at any time; it stays mapped.
        unsafe { libc::mmap(start, length, protection, flags, -1, 0) };
    }
}
