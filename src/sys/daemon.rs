//! Going to the background: the starting process stays until the server serves,
//! so that its exit code means something.

use std::fs::File;
use std::io::{self, Read, Write};

use nix::fcntl::OFlag;
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe2, setsid};

use crate::thread::require_single;

/// The exit code of the starting process when the server vanished without one.
const VANISHED: u8 = 1;

/// Which of the two processes this is.
#[derive(Debug)]
pub enum DaemonSide {
    /// The process that was started: it is to exit with this code, which is the
    /// server's answer.
    Starter(u8),
    /// The server.
    Server(Starter),
}

/// The server's way to let the starting process go.
#[derive(Debug)]
pub struct Starter {
    answer: File,
}

/// Splits off a server that belongs to no terminal and no session of one
/// (`daemon(7)`); the starting process waits in here for its answer. What is open
/// stays open in both.
///
/// # Errors
/// `Unsupported` when this process has other threads, which the server would lack;
/// those of `fork(2)`, `setsid(2)` and `pipe2(2)`.
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
        // The leader of the session goes, so that no process in it can get a
        // terminal by opening one.
        // SAFETY: _exit(2) ends the process without running anything of it.
        unsafe { libc::_exit(0) };
    }
    Ok(DaemonSide::Server(Starter { answer: File::from(write) }))
}

impl Starter {
    /// Lets the starting process exit with this code. It may be gone.
    pub fn answer(mut self, code: u8) {
        drop(self.answer.write_all(&[code]));
    }
}

/// Lets the three standard descriptors lead nowhere.
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

/// The pid of the new process, in the old one.
fn split() -> io::Result<Option<Pid>> {
    // SAFETY: `detach` has looked: there is one thread, so that the new process
    // finds no lock held.
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
    fn the_starter_hears_the_code_or_that_the_server_vanished() {
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
