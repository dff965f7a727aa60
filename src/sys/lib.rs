//! Every system call that std has no safe function for, one noun per file.
//!
//! This is the only crate with `unsafe` outside the Python bridge. It exports
//! safe functions on safe types only, so that the crates above can forbid it.

pub mod acting;
pub mod append;
pub mod blocked_signals;
pub mod clock;
pub mod daemon;
pub mod descriptor;
pub mod epoll;
pub mod eventfd;
pub mod fork;
pub mod futex;
pub mod limit;
pub mod lock;
pub mod memory;
#[cfg(test)]
#[path = "../../tests/support/need.rs"]
mod need;
pub mod notify_socket;
pub mod packet;
pub mod path;
pub mod pipe;
pub mod process;
pub mod refuse;
pub mod sendfile;
pub mod seqpacket;
pub mod signal;
pub mod socket;
pub mod thread;
pub mod title;
pub mod umask;
pub mod unnamed_file;
pub mod user;
pub mod wait;

use std::io;

/// What went wrong, in the lower case of our messages and without a number:
/// `permission denied`.
#[must_use]
pub fn reason(error: &io::Error) -> String {
    let text = match error.raw_os_error() {
        // As the C library has it; "try again" would be advice for the caller.
        Some(libc::EAGAIN) => "resource temporarily unavailable".to_owned(),
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    };
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain([second]).chain(letters).collect()
        }
        _ => text,
    }
}

/// Turns the `-1` of a failed call into the error that `errno` names.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// As [`check`], for calls that return a length.
fn check_len(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
