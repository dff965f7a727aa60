//! Moves the server to the background. The starting process stays until the server
//! serves, and exits with the result.

use std::fs::File;
use std::io::{self, Read, Write};

use nix::fcntl::OFlag;
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe2, setsid};

use crate::thread::require_single;

/// The exit code of the starting process when the server ended without a report.
const VANISHED: u8 = 1;

/// The side of the fork that this process is on.
#[derive(Debug)]
pub enum DaemonSide {
    /// The starting process. It must exit with this code, which the server has reported.
    Starter(u8),
    /// The server.
    Server(Starter),
}

/// The server's connection to the starting process.
#[derive(Debug)]
pub struct Starter {
    answer: File,
}

/// Forks a server without a terminal, in a session of its own (`daemon(7)`). In the
/// starting process this waits for the server's report. Both processes keep all
/// descriptors.
///
/// # Errors
/// `Unsupported` when this process has other threads, which a fork does not copy; those of
/// `fork(2)`, `setsid(2)` and `pipe2(2)`.
pub fn detach() -> io::Result<DaemonSide> {
    require_single()?;
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    if split()?.is_some() {
        drop(write);
        return Ok(DaemonSide::Starter(wait_for_answer(File::from(read))));
    }
    drop(read);
    setsid()?;
    if split()?.is_some() {
        // The leader of the session ends: then no process in it can get a terminal by
        // opening one.
        // SAFETY: _exit(2) ends the process and runs no code of this one.
        unsafe { libc::_exit(0) };
    }
    Ok(DaemonSide::Server(Starter { answer: File::from(write) }))
}

impl Starter {
    /// Makes the starting process exit with this code, if it still runs.
    pub fn answer(mut self, code: u8) {
        drop(self.answer.write_all(&[code]));
    }
}

/// Redirects the three standard descriptors to `/dev/null`.
///
/// # Errors
/// Those of `open(2)` and `dup2(2)`.
pub fn close_standard() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}

/// Forks; returns the new process's pid in the old one, and `None` in the new one.
fn split() -> io::Result<Option<Pid>> {
    // SAFETY: `detach` has checked that there is one thread, so no lock is held in the
    // new process.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

fn wait_for_answer(mut from: File) -> u8 {
    let mut code = [VANISHED];
    match from.read_exact(&mut code) {
        Ok(()) => code[0],
        Err(_) => VANISHED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_starter_gets_the_code_or_the_end_of_the_server() {
        for (said, code) in [(Some(3), 3), (None, VANISHED)] {
            let (read, write) = pipe2(OFlag::O_CLOEXEC).unwrap();
            let starter = Starter { answer: File::from(write) };
            match said {
                Some(code) => starter.answer(code),
                None => drop(starter),
            }
            assert_eq!(wait_for_answer(File::from(read)), code);
        }
    }
}
