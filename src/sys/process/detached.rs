//! Starts programs that are not children of this process, and learns how they end.
//!
//! An init system waits for its own children only (`systemd.service(5)`), so a program that
//! becomes its main process must be one of them. This takes three forks. The process
//! between ends at once, and its child, the attendant, becomes a child of the init system.
//! The attendant starts the program, and reports how it ends. The attendant ends when its
//! pipe is closed; then the program becomes a child of the init system too.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use super::end::{ExitStatus, peek, reap, take_orphans, takes_orphans};
use super::exec_error::{ExecError, ExecStep};
use super::fork::{ForkSide, fork_orphan};
use super::mask::{hold_signals, release_signals};
use super::program::{Process, Program, ask_for_orphan_signal, exit_now, most_descriptors};
use crate::descriptor;
use crate::thread::require_single;
use crate::title;
use crate::wait::{Readiness, wait};

/// The maximum time to wait for the end of an attendant that was killed.
const PATIENCE: Duration = Duration::from_secs(10);
/// The length of a report of the attendant: four numbers, written at once (`pipe(7)`).
const REPORT: usize = 16;

/// A program that is not a child of this process. Dropping the value closes descriptors,
/// which ends the attendant.
#[derive(Debug)]
pub struct Detached {
    process: Process,
    attendant: Process,
    /// The pipe through which the attendant reports how the program has ended.
    told: File,
    /// The attendant ends when this is closed, so also when this process ends.
    _hold: OwnedFd,
}

/// How a program has ended.
#[derive(Debug)]
pub struct Ending {
    /// The exit status; `None` if the attendant was killed before it could report it.
    pub end: Option<ExitStatus>,
    /// The reason why the program could not be executed, if it could not.
    pub exec_error: Option<ExecError>,
}

impl Detached {
    /// Starts a program as [`Process::start`] does, below an attendant with this `title`.
    /// During the call this process adopts no orphans (`PR_SET_CHILD_SUBREAPER`,
    /// prctl(2)).
    ///
    /// # Errors
    /// `Unsupported` when this process has other threads, which the attendant would
    /// lack; those of `fork(2)`, `pipe2(2)` and `pidfd_open(2)`.
    pub fn start(program: &Program, descriptors: &[BorrowedFd], title: &str) -> io::Result<Self> {
        require_single()?;
        Self::start_beside_threads(program, descriptors, title)
    }

    /// As [`Detached::start`], without the check for other threads. The tests, which have
    /// other threads, call it directly: the attendant needs no lock of theirs, and the C
    /// library's locks are usable in a new process (fork(3)).
    fn start_beside_threads(
        program: &Program,
        descriptors: &[BorrowedFd],
        title: &str,
    ) -> io::Result<Self> {
        let (told, tell) = pipe2(OFlag::O_CLOEXEC)?;
        let (held, hold) = pipe2(OFlag::O_CLOEXEC)?;
        let parent = std::process::id().cast_signed();
        let signals = hold_signals();
        let forked = fork_orphan(|orphan| stay_between(orphan, &tell, parent));
        if matches!(forked, Ok(ForkSide::Orphan { .. })) {
            drop((told, hold));
            title::set(title);
            attend(program, descriptors, tell, &held);
        }
        release_signals(&signals);
        let ForkSide::Caller { between } = forked? else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        drop((tell, held));
        let mut told = File::from(told);
        let met = meet(&mut told);
        let orphaned = orphan_attendant(between);
        let (process, attendant) = met?;
        orphaned?;
        nix::fcntl::fcntl(&told, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self { process, attendant, told, _hold: hold })
    }

    /// The program's pid, for logs and for the init system.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Sends a signal to the program, as [`Process::signal`] does.
    ///
    /// # Errors
    /// Those of [`Process::signal`].
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        self.process.signal(signal)
    }

    /// How the program has ended; `None` while it runs. If the attendant was killed, the
    /// program is killed too, since its end could not be reported.
    pub fn ending(&mut self) -> Option<Ending> {
        match read_report(&mut self.told) {
            Ok([by_signal, value, step, errno]) => {
                let end = if by_signal == 0 {
                    ExitStatus::Code(value)
                } else {
                    ExitStatus::Signal(value)
                };
                let error = io::Error::from_raw_os_error(errno);
                let exec_error =
                    (errno != 0).then(|| ExecError { step: ExecStep::of(step), error });
                Some(Ending { end: Some(end), exec_error })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(_) => {
                drop(self.process.signal(libc::SIGKILL));
                Some(Ending { end: None, exec_error: None })
            }
        }
    }

    /// Ends the attendant, and waits for its end. From then on the program is a child of
    /// the nearest process that adopts orphans, or of the first process.
    ///
    /// # Errors
    /// Those of [`Process::signal`] and `poll(2)`; `TimedOut` if it has not ended
    /// after a while.
    pub fn release(&self) -> io::Result<()> {
        self.attendant.signal(libc::SIGKILL)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            // A signal, such as SIGCHLD, ends a wait early.
            let left = deadline.saturating_duration_since(Instant::now());
            match wait(&[(self.attendant.as_fd(), Readiness::Readable)], Some(left))?[..] {
                [true] => return Ok(()),
                _ if left.is_zero() => return Err(io::ErrorKind::TimedOut.into()),
                _ => {}
            }
        }
    }
}

/// Readable when [`Detached::ending`] has a result.
impl AsFd for Detached {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.told.as_fd()
    }
}

/// Runs in the process between. It exists until the caller has a pidfd of its child, so
/// that the child's pid is not reused meanwhile.
fn stay_between(orphan: io::Result<i32>, tell: &OwnedFd, parent: i32) -> bool {
    if let Err(error) = orphan {
        report(tell.as_fd(), [error.raw_os_error().unwrap_or(libc::EIO), 0, 0, 0]);
        return false;
    }
    if ask_for_orphan_signal(libc::SIGKILL, parent).is_err() {
        return false;
    }
    // SAFETY: only the attendant must have it, so that an end of file means its end. This
    // process ends without dropping values.
    unsafe { libc::close(tell.as_raw_fd()) };
    loop {
        // SAFETY: takes nothing.
        unsafe { libc::pause() };
    }
}

/// Runs in the attendant. All signals are blocked.
fn attend(program: &Program, descriptors: &[BorrowedFd], tell: OwnedFd, held: &OwnedFd) -> ! {
    let process = match Process::start(program, descriptors) {
        Ok(process) => process,
        Err(error) => {
            report(tell.as_fd(), [error.raw_os_error().unwrap_or(libc::EIO), 0, 0, 0]);
            exit_now(1);
        }
    };
    let exec_error = process.exec_error.as_ref().map(AsRawFd::as_raw_fd);
    let own = [tell.as_raw_fd(), held.as_raw_fd(), process.as_fd().as_raw_fd()];
    close_all_but(own.into_iter().chain(exec_error).collect());
    report(tell.as_fd(), [0, process.pid(), std::process::id().cast_signed(), 0]);
    let released = || wait(&[(held.as_fd(), Readiness::Readable)], None);
    loop {
        let asked = [(held.as_fd(), Readiness::Readable), (process.as_fd(), Readiness::Readable)];
        match wait(&asked, None).as_deref() {
            Ok([false, true]) => break,
            Ok([false, false]) => {}
            Ok(_) | Err(_) => exit_now(0),
        }
    }
    // Not reaped: the pid stays in use until this process has ended.
    if let Ok(end) = peek(process.pid()) {
        let (by_signal, value) = match end {
            ExitStatus::Code(code) => (0, code),
            ExitStatus::Signal(signal) => (1, signal),
        };
        let exec_error = process.exec_error();
        let errno = exec_error.as_ref().and_then(|it| it.error.raw_os_error()).unwrap_or(0);
        let step = exec_error.and_then(|it| it.step).map_or(0, |step| step as i32);
        report(tell.as_fd(), [by_signal, value, step, errno]);
        drop(released());
    }
    exit_now(0)
}

/// Opens pidfds of the program and its attendant, by the attendant's first report.
fn meet(told: &mut File) -> io::Result<(Process, Process)> {
    let (pid, attendant) = match read_report(told)? {
        [0, pid, attendant, _] => (pid, attendant),
        [errno, ..] => return Err(io::Error::from_raw_os_error(errno)),
    };
    let met = Process::adopt(pid).and_then(|it| Ok((it, Process::adopt(attendant)?)));
    if met.is_err() {
        // SAFETY: the attendant, which still runs, does not reap it: so the pid
        // is still its own.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
    met
}

/// Ends the process between while this process adopts no orphans.
fn orphan_attendant(between: i32) -> io::Result<()> {
    let adopts = takes_orphans()?;
    if adopts {
        take_orphans(false)?;
    }
    // SAFETY: the process is our own and not reaped, so the pid is still its.
    unsafe { libc::kill(between, libc::SIGKILL) };
    let reaped = reap(between);
    if adopts {
        take_orphans(true)?;
    }
    reaped.map(drop)
}

fn report(tell: BorrowedFd, numbers: [i32; 4]) {
    let mut bytes = [0; REPORT];
    for (place, number) in bytes.chunks_exact_mut(4).zip(numbers) {
        place.copy_from_slice(&number.to_ne_bytes());
    }
    if let Ok(tell) = tell.try_clone_to_owned() {
        // If there is no reader, the caller has ended.
        drop(File::from(tell).write_all(&bytes));
    }
}

fn read_report(told: &mut File) -> io::Result<[i32; 4]> {
    let mut bytes = [0; REPORT];
    told.read_exact(&mut bytes)?;
    let mut numbers = [0; 4];
    for (number, place) in numbers.iter_mut().zip(bytes.chunks_exact(4)) {
        *number = i32::from_ne_bytes(place.try_into().unwrap_or_default());
    }
    Ok(numbers)
}

/// Closes all descriptors except the standard ones and these.
fn close_all_but(mut kept: Vec<RawFd>) {
    kept.sort_unstable();
    let mut first = descriptor::FIRST;
    for fd in kept.into_iter().chain([RawFd::MAX]) {
        if first < fd {
            close_range(first, fd - 1);
        }
        first = fd.saturating_add(1);
    }
}

fn close_range(first: RawFd, last: RawFd) {
    // SAFETY: this process uses none of them; the call is newer than some kernels.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0 {
        return;
    }
    for fd in first..=last.min(most_descriptors()) {
        // SAFETY: as above; numbers that are not open fail.
        unsafe { libc::close(fd) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::end::ancestry;
    use super::super::program::tests::shell;
    use super::*;

    fn ending(detached: &mut Detached) -> Ending {
        wait(&[(detached.as_fd(), Readiness::Readable)], None).unwrap();
        detached.ending().unwrap()
    }

    #[test]
    fn the_end_of_a_detached_program_is_reported() {
        for (script, end) in
            [("exit 7", ExitStatus::Code(7)), ("kill -SEGV $$", ExitStatus::Signal(libc::SIGSEGV))]
        {
            let mut detached =
                Detached::start_beside_threads(&shell(script), &[], "attendant").unwrap();
            let ending = ending(&mut detached);
            assert_eq!(ending.end, Some(end));
            assert!(ending.exec_error.is_none());
            assert!(reap(detached.pid()).is_err(), "it is no child");
        }
        let program = Program { path: c"/no/such/program".to_owned(), ..shell("") };
        let mut detached = Detached::start_beside_threads(&program, &[], "attendant").unwrap();
        let exec_error = ending(&mut detached).exec_error.unwrap();
        let text = "cannot execute /no/such/program: no such file or directory";
        assert_eq!(program.describe(&exec_error), text);
    }

    #[test]
    fn a_released_program_is_a_child_of_the_first_process() {
        let detached =
            Detached::start_beside_threads(&shell("exec sleep 1000"), &[], "attendant").unwrap();
        let attendant = ancestry(detached.pid()).unwrap().parent;
        let of = ancestry(attendant).unwrap().parent;
        assert_ne!(of, std::process::id().cast_signed());
        detached.release().unwrap();
        assert_eq!(ancestry(detached.pid()).unwrap().parent, of);
        detached.signal(libc::SIGKILL).unwrap();
    }

    #[test]
    fn a_program_without_its_attendant_is_killed() {
        let mut detached =
            Detached::start_beside_threads(&shell("exec sleep 1000"), &[], "attendant").unwrap();
        assert!(detached.ending().is_none());
        detached.attendant.signal(libc::SIGKILL).unwrap();
        assert_eq!(ending(&mut detached).end, None);
        wait(&[(detached.process.as_fd(), Readiness::Readable)], None).unwrap();
    }
}
