//! Executes a program in a new process, and has a handle on the process.
//!
//! A process is made by `fork(2)` and `execve(2)`. Everything that it needs is prepared
//! before the fork. Between the two, only functions that are safe in a signal handler are
//! called (`signal-safety(7)`).

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::end::reap;
use super::exec_error::{ExecError, ExecStep, errno, plain};
use super::mask::{empty_mask, hold_signals, release_signals, set_mask};
use super::privileges;
use crate::descriptor;
use crate::user::Credentials;
use crate::{check, check_len, limit};

/// The exit code of a process that could not execute its program.
const NOT_EXECUTED: libc::c_int = 127;

/// The variable with the pid of the process for which the sockets are
/// (`sd_listen_fds(3)`). Its value is written when the pid is known.
const LISTEN_PID: &[u8] = b"LISTEN_PID=";
/// The maximum number of digits of a pid.
const PID_DIGITS: usize = 10;

/// A program to execute, with arguments, environment and attributes of its process.
#[derive(Clone, Debug)]
pub struct Program {
    /// The file to execute; it is not searched on `PATH`.
    pub path: CString,
    /// Its arguments, with the zeroth.
    pub arguments: Vec<CString>,
    /// Its environment as `NAME=VALUE`; `LISTEN_PID` is added.
    pub environment: Vec<CString>,
    /// The directory it starts in; `None` for this process's.
    pub directory: Option<CString>,
    /// Its file mode creation mask; `None` for this process's.
    pub umask: Option<u32>,
    /// Its user and groups; `None` for this process's.
    pub credentials: Option<Credentials>,
    /// The signal that it gets when this process dies (`PR_SET_PDEATHSIG`,
    /// `prctl(2)`); `None` for none.
    pub orphan_signal: Option<i32>,
}

/// A process that this one has started or adopted. Dropping it closes
/// descriptors only.
#[derive(Debug)]
pub struct Process {
    pid: i32,
    /// Refers to the process, also after it was reaped and its pid reused.
    pidfd: OwnedFd,
    /// The pipe for the reason why the program could not be executed; `None` for an adopted
    /// process.
    pub(super) exec_error: Option<OwnedFd>,
}

/// Ends this process at once, without exit handlers, and without waiting for threads.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) takes any number and does not return.
    unsafe { libc::_exit(code) }
}

/// Whether this process has a controlling terminal (`tty(4)`).
#[must_use]
pub fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

impl Program {
    /// The text for a process that could not execute this program.
    #[must_use]
    pub fn describe(&self, error: &ExecError) -> String {
        error.describe(&self.path, self.directory.as_deref())
    }
}

impl Process {
    /// Starts a program. It gets copies of `descriptors` from number 3 on, the standard
    /// descriptors, and no others. All signals have their default actions, and none is
    /// blocked. A failure to execute is known later: see [`Process::exec_error`].
    ///
    /// # Errors
    /// Those of `fork(2)`, `pipe2(2)` and `pidfd_open(2)`.
    pub fn start(program: &Program, descriptors: &[BorrowedFd]) -> io::Result<Self> {
        let (exec_error, report) = pipe()?;
        let mut image = Image::prepare(program, descriptors, &report);
        let held = hold_signals();
        // SAFETY: between fork and exec the new process makes only system calls
        // and writes to memory that `Image::prepare` has allocated, so that a lock
        // which another thread held is not asked for (fork(2), signal-safety(7)).
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            image.become_program();
        }
        let forked = check(pid);
        release_signals(&held);
        let pid = forked?;
        match open_pidfd(pid) {
            Ok(pidfd) => Ok(Self { pid, pidfd, exec_error: Some(exec_error) }),
            Err(error) => {
                // SAFETY: the process is a child that is not reaped, so the pid is
                // still its own.
                unsafe { libc::kill(pid, libc::SIGKILL) };
                drop(reap(pid));
                Err(error)
            }
        }
    }

    /// Opens a handle on a process that another one has forked. The caller must know that
    /// it was not reaped: until then the pid is not reused.
    ///
    /// # Errors
    /// Those of `pidfd_open(2)`.
    pub fn adopt(pid: i32) -> io::Result<Self> {
        Ok(Self { pid, pidfd: open_pidfd(pid)?, exec_error: None })
    }

    /// The process of this pid that another one has opened a handle on (`pidfd_open(2)`).
    #[must_use]
    pub fn of_pidfd(pid: i32, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd, exec_error: None }
    }

    /// The pid, for logs and for [`reap`]; signals use the pidfd.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends a signal. A process that has ended does not get it.
    ///
    /// # Errors
    /// Those of `pidfd_send_signal(2)`, but for `ESRCH`.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        let null = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: the descriptor is open, and without a record the kernel fills in the
        // information itself.
        let result = unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, self.pidfd.as_raw_fd(), signal, null, 0)
        };
        match io::Error::last_os_error() {
            error if result == -1 && error.raw_os_error() != Some(libc::ESRCH) => Err(error),
            _ => Ok(()),
        }
    }

    /// Sends a signal to one thread of the process, by the kernel's number. A thread that
    /// has ended does not get it. The pid is this process's until it is reaped, so no
    /// thread of another process gets it.
    ///
    /// # Errors
    /// Those of `tgkill(2)`, but for `ESRCH`.
    pub fn signal_thread(&self, thread: i32, signal: i32) -> io::Result<()> {
        // SAFETY: takes numbers only.
        let result = unsafe { libc::syscall(libc::SYS_tgkill, self.pid, thread, signal) };
        match io::Error::last_os_error() {
            error if result == -1 && error.raw_os_error() != Some(libc::ESRCH) => Err(error),
            _ => Ok(()),
        }
    }

    /// The reason why the process could not execute its program, if it could not. Known
    /// for certain when the process has ended.
    #[must_use]
    pub fn exec_error(&self) -> Option<ExecError> {
        let exec_error = self.exec_error.as_ref()?;
        let mut report = [0u8; 5];
        // SAFETY: the buffer is valid for its length.
        let length = check_len(unsafe {
            libc::read(exec_error.as_raw_fd(), report.as_mut_ptr().cast(), report.len())
        });
        if length.ok()? != report.len() {
            return None;
        }
        let [step, error @ ..] = report;
        let error = io::Error::from_raw_os_error(i32::from_ne_bytes(error));
        Some(ExecError { step: ExecStep::of(step.into()), error })
    }
}

/// Readable when the process has ended (`pidfd_open(2)`).
impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// Checks that the kernel has pidfds, and allows this process to use them.
///
/// # Errors
/// Their text has the system call and the oldest kernel that has it.
pub fn check_kernel() -> io::Result<()> {
    let pid = std::process::id().cast_signed();
    let own = open_pidfd(pid).map_err(|error| lacking("pidfd_open(2)", error))?;
    let process = Process { pid, pidfd: own, exec_error: None };
    // Signal 0 only checks (kill(2)).
    process.signal(0).map_err(|error| lacking("pidfd_send_signal(2)", error))
}

fn lacking(call: &str, error: io::Error) -> io::Error {
    if error.raw_os_error().is_none() {
        return error;
    }
    let reason = crate::reason(&error);
    let text = format!(
        "{call} fails ({reason}): Linux 5.3 or later is needed, and a sandbox has to allow the call"
    );
    io::Error::new(error.kind(), text)
}

fn open_pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = check(i32::try_from(fd).unwrap_or(-1)).map_err(|error| {
        if error.raw_os_error() == Some(libc::ENOSYS) {
            lacking("pidfd_open(2)", error)
        } else {
            error
        }
    })?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes a pipe, close-on-exec, whose reading end is non-blocking.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NONBLOCK)?)
}

/// The data that the new process needs between fork and exec, where no memory may be
/// allocated.
struct Image<'a> {
    program: &'a Program,
    arguments: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    listen_pid: Vec<u8>,
    descriptors: Vec<RawFd>,
    report: RawFd,
    /// Room for the groups that are read back.
    groups: Vec<libc::gid_t>,
    umask: Option<libc::mode_t>,
    parent: libc::pid_t,
    mask: libc::sigset_t,
}

impl<'a> Image<'a> {
    fn prepare(program: &'a Program, descriptors: &[BorrowedFd], report: &OwnedFd) -> Self {
        let mut listen_pid = LISTEN_PID.to_vec();
        listen_pid.resize(LISTEN_PID.len() + PID_DIGITS + 1, 0);
        let mut environment: Vec<_> = program.environment.iter().map(|it| it.as_ptr()).collect();
        environment.push(listen_pid.as_ptr().cast());
        environment.push(std::ptr::null());
        let mut arguments: Vec<_> = program.arguments.iter().map(|it| it.as_ptr()).collect();
        arguments.push(std::ptr::null());
        let count = program.credentials.as_ref().map_or(0, |it| it.groups.len());
        Self {
            program,
            arguments,
            environment,
            listen_pid,
            descriptors: descriptors.iter().map(AsRawFd::as_raw_fd).collect(),
            report: report.as_raw_fd(),
            groups: vec![0; count + 1],
            umask: program.umask,
            parent: std::process::id().cast_signed(),
            mask: empty_mask(),
        }
    }

    /// Runs in the new process, and never returns.
    fn become_program(&mut self) -> ! {
        let (step, errno) = match self.try_to_become_program() {
            Ok(never) => match never {},
            Err((step, errno)) => (step, errno),
        };
        let [a, b, c, d] = errno.to_ne_bytes();
        let report = [step as u8, a, b, c, d];
        // SAFETY: the buffer is valid for its length. If the parent has ended, there is no
        // reader.
        unsafe { libc::write(self.report, report.as_ptr().cast(), report.len()) };
        // SAFETY: _exit(2) ends the process and runs no code of this one.
        unsafe { libc::_exit(NOT_EXECUTED) }
    }

    fn try_to_become_program(&mut self) -> Result<std::convert::Infallible, (ExecStep, i32)> {
        reset_signal_actions();
        self.place_descriptors().map_err(|errno| (ExecStep::Descriptors, errno))?;
        limit::give_back();
        if let Some(directory) = &self.program.directory {
            // SAFETY: the directory is a C string.
            plain(unsafe { libc::chdir(directory.as_ptr()) })
                .map_err(|errno| (ExecStep::Directory, errno))?;
        }
        if let Some(umask) = self.umask {
            // SAFETY: takes a number only.
            unsafe { libc::umask(umask) };
        }
        if let Some(credentials) = &self.program.credentials {
            privileges::give_up(credentials, &mut self.groups)?;
        }
        if let Some(signal) = self.program.orphan_signal {
            // After the change of the user, which would reset it.
            ask_for_orphan_signal(signal, self.parent)
                .map_err(|errno| (ExecStep::Execute, errno))?;
        }
        self.write_pid();
        set_mask(&self.mask);
        // SAFETY: the path is a C string, and both lists are of C strings and
        // end in null.
        unsafe {
            let path = self.program.path.as_ptr();
            libc::execve(path, self.arguments.as_ptr(), self.environment.as_ptr())
        };
        Err((ExecStep::Execute, errno()))
    }

    /// Places the descriptors from number 3 on, and makes all others close-on-exec.
    fn place_descriptors(&mut self) -> Result<(), i32> {
        let count = RawFd::try_from(self.descriptors.len()).map_err(|_| libc::EMFILE)?;
        let end = descriptor::FIRST + count;
        // First all sources get higher numbers: a target may be the source of another.
        self.report = move_above(self.report, end)?;
        for fd in &mut self.descriptors {
            *fd = move_above(*fd, end)?;
        }
        for (fd, target) in self.descriptors.iter().zip(descriptor::FIRST..) {
            // SAFETY: nothing in this process uses the target any more.
            plain(unsafe { libc::dup2(*fd, target) })?;
        }
        close_on_exec_from(end);
        Ok(())
    }

    /// Writes this process's pid into `LISTEN_PID=`.
    fn write_pid(&mut self) {
        // SAFETY: takes nothing, and always succeeds.
        let mut rest = unsafe { libc::getpid() }.unsigned_abs();
        let mut digits = [0u8; PID_DIGITS];
        let mut start = digits.len();
        loop {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 || start == 0 {
                break;
            }
        }
        let places = self.listen_pid[LISTEN_PID.len()..].iter_mut();
        places.zip(&digits[start..]).for_each(|(place, digit)| *place = *digit);
    }
}

/// Gives every signal its default action. An ignored signal would stay ignored in the
/// program.
fn reset_signal_actions() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: the default action runs no code of ours. The call fails for signals that
        // cannot be changed (SIGKILL, SIGSTOP, libc's own), which have it already.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Requests a signal for the end of the parent; fails if the parent has ended already.
pub(super) fn ask_for_orphan_signal(signal: i32, parent: libc::pid_t) -> Result<(), i32> {
    let signal = libc::c_ulong::from(signal.unsigned_abs());
    // SAFETY: takes numbers only.
    plain(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) })?;
    // SAFETY: takes nothing, and always succeeds.
    if unsafe { libc::getppid() } == parent { Ok(()) } else { Err(libc::ESRCH) }
}

/// Copies `fd` to a number from `least` up, close-on-exec.
fn move_above(fd: RawFd, least: RawFd) -> Result<RawFd, i32> {
    // SAFETY: takes numbers only.
    plain(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, least) })
}

/// Makes every descriptor from `first` up close-on-exec.
fn close_on_exec_from(first: RawFd) {
    let (from, flags) = (first.cast_unsigned(), libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: takes numbers only; the call is newer than some kernels.
    if unsafe { libc::syscall(libc::SYS_close_range, from, u32::MAX, flags) } == 0 {
        return;
    }
    for fd in first..most_descriptors() {
        // SAFETY: takes numbers only; numbers that are not open fail.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// The end of the descriptor numbers, for kernels without close_range(2).
pub(super) fn most_descriptors() -> RawFd {
    const MOST: RawFd = 65_536;
    // SAFETY: takes a number only.
    let limit = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) };
    RawFd::try_from(limit).map_or(MOST, |limit| limit.clamp(0, MOST))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::end::{Ancestry, ExitStatus, ancestry, ended};
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    pub(crate) fn shell(script: &str) -> Program {
        let text = |text: &str| CString::new(text).unwrap();
        Program {
            path: text("/bin/sh"),
            arguments: ["sh", "-c", script].map(text).to_vec(),
            environment: vec![text("A=b")],
            directory: Some(text("/")),
            umask: Some(0o27),
            credentials: None,
            orphan_signal: None,
        }
    }

    /// Runs a script with a pipe as descriptor 3, and returns what it has written there.
    fn output(script: &str) -> (String, ExitStatus) {
        let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let process = Process::start(&shell(script), &[write.as_fd()]).unwrap();
        drop(write);
        let mut said = String::new();
        File::from(read).read_to_string(&mut said).unwrap();
        let end = reap(process.pid()).unwrap();
        assert!(process.exec_error().is_none());
        (said, end)
    }

    #[test]
    fn a_program_has_what_it_was_given() {
        let (said, end) = output("{ echo $$ $LISTEN_PID $A $(pwd) $(umask); } >&3; exit 5");
        let words: Vec<_> = said.split_whitespace().collect();
        assert_eq!(words[0], words[1]);
        assert_eq!(words[2..], ["b", "/", "0027"]);
        assert_eq!(end, ExitStatus::Code(5));
    }

    #[test]
    fn a_program_has_no_other_descriptors() {
        // An inheritable descriptor of this process, which the program must not get.
        let file = File::open("/dev/null").unwrap();
        // SAFETY: takes a number only.
        let stray = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD, 50) };
        assert!(stray >= 50);
        let (said, _) = output("exec /bin/ls -1 /proc/self/fd >&3");
        let numbers: Vec<_> = said.lines().collect();
        assert!(numbers.starts_with(&["0", "1", "2", "3"]), "{numbers:?}");
        assert!(!numbers.contains(&stray.to_string().as_str()), "{numbers:?}");
    }

    #[test]
    fn descriptors_can_be_each_others_targets() {
        let files: Vec<_> = (0..6).map(|_| tempfile()).collect();
        for (number, mut file) in files.iter().enumerate() {
            write!(file, "{number}").unwrap();
        }
        let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let mut given: Vec<_> = files.iter().rev().map(AsFd::as_fd).collect();
        given.push(write.as_fd());
        let script = "for fd in 3 4 5 6 7 8; do cat /proc/self/fd/$fd >&9; done";
        let process = Process::start(&shell(script), &given).unwrap();
        drop(given);
        drop(write);
        let mut said = String::new();
        File::from(read).read_to_string(&mut said).unwrap();
        assert_eq!(said, "543210");
        reap(process.pid()).unwrap();
    }

    fn tempfile() -> File {
        crate::unnamed_file::create(&std::env::temp_dir()).unwrap()
    }

    #[test]
    fn a_program_that_cannot_be_executed_has_a_reason() {
        let program = Program { path: c"/no/such/program".to_owned(), ..shell("") };
        let process = Process::start(&program, &[]).unwrap();
        assert_eq!(reap(process.pid()).unwrap(), ExitStatus::Code(NOT_EXECUTED));
        let exec_error = process.exec_error().unwrap();
        assert_eq!(
            program.describe(&exec_error),
            "cannot execute /no/such/program: no such file or directory"
        );
        let program = Program { directory: Some(c"/no/where".to_owned()), ..shell("") };
        let process = Process::start(&program, &[]).unwrap();
        reap(process.pid()).unwrap();
        assert_eq!(
            program.describe(&process.exec_error().unwrap()),
            "cannot change to directory /no/where: no such file or directory"
        );
    }

    #[test]
    fn an_adopted_process_can_be_signalled_and_reaped() {
        let started = Process::start(&shell("exec sleep 1000"), &[]).unwrap();
        let process = Process::adopt(started.pid()).unwrap();
        process.signal(libc::SIGKILL).unwrap();
        assert_eq!(reap(process.pid()).unwrap(), ExitStatus::Signal(libc::SIGKILL));
        assert!(process.exec_error().is_none());
        assert!(Process::adopt(process.pid()).is_err());
    }

    #[test]
    fn the_kernel_reports_parent_and_user_until_a_process_is_reaped() {
        let own = std::process::id().cast_signed();
        let process = Process::start(&shell("exec sleep 1000"), &[]).unwrap();
        let here = Ancestry { parent: own, users: [crate::user::own_uid(); 4] };
        assert_eq!(ancestry(process.pid()).unwrap(), here);
        assert_ne!(ancestry(1).unwrap().parent, own);
        process.signal(libc::SIGKILL).unwrap();
        while ended().unwrap() != Some(process.pid()) {
            std::thread::yield_now();
        }
        assert_eq!(ancestry(process.pid()).unwrap(), here);
        reap(process.pid()).unwrap();
        assert_eq!(ancestry(process.pid()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_signal_reaches_the_process_and_only_it() {
        let process = Process::start(&shell("exec sleep 1000"), &[]).unwrap();
        process.signal(libc::SIGTERM).unwrap();
        assert_eq!(reap(process.pid()).unwrap(), ExitStatus::Signal(libc::SIGTERM));
        process.signal(libc::SIGKILL).unwrap();
    }
}
