//! The responses to challenges of ACME (RFC 8555 section 8.3): files that a client of the
//! authority, such as certbot, puts below a directory.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use monoceros_engine::{Arrival, Decision, LocalResponse};
use monoceros_http::Head;
use monoceros_sys::{clock, reason};
use monoceros_wire::listener::Scheme;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;

use crate::arrived_request::{ArrivedRequest, DecisionPart};
use crate::plain::{is_read, only_read, plain, respond, with_field};

/// The directories below the webroot.
const DIRECTORIES: [&str; 2] = [".well-known", "acme-challenge"];

/// What the paths of challenges begin with; a token follows.
const PREFIX: &[u8] = b"/.well-known/acme-challenge/";

/// The size of the largest file that is sent, in bytes: 64 KiB. A key authorization has about
/// 90.
const LARGEST: u64 = 64 << 10;

/// The time between two log lines, in milliseconds.
const INTERVAL_MS: u64 = 60_000;

/// Whether a request is for a challenge, or for another file beside those.
pub(crate) fn is_challenge(head: &Head) -> bool {
    head.path().starts_with(PREFIX)
}

/// The files of challenges.
pub(crate) struct Challenges {
    webroot: PathBuf,
    /// When the next line about a file that cannot be read may be logged, in milliseconds of
    /// the monotonic clock.
    next_line_ms: AtomicU64,
}

impl Challenges {
    /// The files below this directory. A relative path counts from where the worker starts.
    pub(crate) fn below(webroot: &Path) -> Self {
        let webroot = std::path::absolute(webroot).unwrap_or_else(|_| webroot.to_owned());
        Self { webroot, next_line_ms: AtomicU64::new(0) }
    }

    /// The response to a request for a challenge, which an authority sends over plain HTTP;
    /// `None` for other requests.
    fn respond(&self, arrival: &Arrival) -> Option<LocalResponse> {
        if arrival.connection_scheme != Scheme::Http {
            return None;
        }
        let head = arrival.head;
        let token = head.path().strip_prefix(PREFIX)?;
        if !is_read(head) {
            return Some(only_read());
        }
        let found = if is_token(token) { self.read(token) } else { None };
        let Some(content) = found else { return Some(plain(404, "Not Found")) };
        let response = LocalResponse::new(200).body(content);
        Some(with_field(response, b"Content-Type", b"application/octet-stream"))
    }

    /// The content of a token's file. A file that exists and cannot be sent is logged.
    fn read(&self, token: &[u8]) -> Option<Vec<u8>> {
        let error = match self.read_file(token) {
            Ok(content) => return Some(content),
            Err(error) => error,
        };
        let is_missing = error.kind() == io::ErrorKind::NotFound
            || error.raw_os_error() == Some(Errno::ENAMETOOLONG as i32);
        let now_ms = clock::monotonic_ms();
        if !is_missing && self.next_line_ms.load(Ordering::Relaxed) <= now_ms {
            self.next_line_ms.store(now_ms + INTERVAL_MS, Ordering::Relaxed);
            log::warn!(
                "cannot send {}{} from --acme-webroot {}: {}; answered 404",
                PREFIX.escape_ascii(),
                token.escape_ascii(),
                self.webroot.display(),
                reason(&error)
            );
        }
        None
    }

    /// Reads a file, without following links below the webroot, and without waiting for the
    /// other end of a pipe.
    fn read_file(&self, token: &[u8]) -> io::Result<Vec<u8>> {
        let flags = OFlag::O_CLOEXEC | OFlag::O_PATH | OFlag::O_DIRECTORY;
        let mut directory = open(&self.webroot, flags, Mode::empty())?;
        for name in DIRECTORIES {
            directory = openat(&directory, name, flags | OFlag::O_NOFOLLOW, Mode::empty())?;
        }
        let flags = OFlag::O_CLOEXEC | OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let name = std::ffi::OsStr::from_bytes(token);
        let file = File::from(openat(&directory, name, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut content = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut content)?;
        if content.len() as u64 > LARGEST {
            return Err(io::Error::other("it is larger than 64 KiB"));
        }
        Ok(content)
    }
}

impl DecisionPart for Challenges {
    fn decide(&self, request: &ArrivedRequest) -> Decision {
        respond(self.respond(request.arrival))
    }
}

/// Whether these bytes are a token: base64url without padding (RFC 8555 section 8.3).
fn is_token(bytes: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_letters_of_base64url_only() {
        for token in ["a", "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr_oA"] {
            assert!(is_token(token.as_bytes()), "{token}");
        }
        for token in ["", ".", "..", "a/b", "a.b", "%61", "a=", "a b", "a\0", "\u{e4}"] {
            assert!(!is_token(token.as_bytes()), "{token}");
        }
    }
}
