//! The system calls for which std has no safe function, in a file for each subject.
//!
//! This is the only crate with `unsafe`, besides one file of the Python bridge. It exports
//! only safe functions on safe types, so the crates above forbid `unsafe`.

pub mod acting;
pub mod append;
pub mod beneath;
pub mod blocked_signals;
pub mod clock;
pub mod daemon;
pub mod descriptor;
pub mod directory_watch;
pub mod disk;
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
pub mod page_cache;
pub mod path;
pub mod pipe;
pub mod process;
pub mod program_pages;
pub mod refuse;
pub mod secrets;
pub mod sendfile;
pub mod seqpacket;
pub mod signal;
pub mod socket;
pub mod socket_rights;
pub mod terminal;
pub mod thread;
pub mod title;
pub mod umask;
pub mod unix_queue;
pub mod unnamed_file;
pub mod user;
pub mod wait;

use std::io;

/// The text of an error, in lower case and without its number: `permission denied`.
#[must_use]
pub fn reason(error: &io::Error) -> String {
    let text = match error.raw_os_error() {
        // The C library's text. "Try again" would be advice for the caller.
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

/// Turns the result -1 of a failed call into the error in `errno`.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// As [`check`], for calls that return a length.
fn check_len(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
