//! What the init system is told, in its own words (`sd_notify(3)`). Decides
//! nothing; nobody answers.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use monoceros_sys::{clock, reason};

use super::state::Notice;

/// The way to the init system, if there is one that wants to hear.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    way: Option<(UnixDatagram, SocketAddr)>,
}

impl Notifier {
    /// By the value of `NOTIFY_SOCKET`: a path, or a name after `@`.
    ///
    /// # Errors
    /// When there is a value that is no address.
    pub(crate) fn open(variable: Option<&OsStr>) -> io::Result<Self> {
        let Some(variable) = variable.filter(|it| !it.is_empty()) else {
            return Ok(Self::default());
        };
        let address = match variable.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(variable)?,
        };
        let socket = UnixDatagram::unbound()?;
        // A full queue must not stop the master.
        socket.set_nonblocking(true)?;
        Ok(Self { way: Some((socket, address)) })
    }

    /// Says it, if anybody listens.
    pub(crate) fn say(&self, notice: &Notice) {
        self.send(&compose(notice, clock::monotonic_us()));
    }

    /// Says that another process is the server's from now on, and serves.
    pub(crate) fn pass_on(&self, pid: i32) {
        self.send(&format!("MAINPID={pid}\nREADY=1\nSTATUS=upgraded"));
    }

    fn send(&self, text: &str) {
        let Some((socket, address)) = &self.way else { return };
        if let Err(error) = socket.send_to_addr(text.as_bytes(), address) {
            log::debug!("cannot notify the init system: {}", reason(&error));
        }
    }
}

/// The lines of a notice. A reload is to say when it began, by the clock that
/// the init system compares with the time at which it asked.
fn compose(notice: &Notice, now_us: u64) -> String {
    match notice {
        Notice::Ready => "READY=1".to_owned(),
        Notice::Reloading => format!("RELOADING=1\nMONOTONIC_USEC={now_us}"),
        Notice::Stopping => "STOPPING=1\nSTATUS=draining".to_owned(),
        Notice::Alive => "WATCHDOG=1".to_owned(),
        // What follows a line end would be another assignment.
        Notice::Status(line) => format!("STATUS={}", line.replace(['\n', '\r'], " ")),
        Notice::Extend(length) => format!("EXTEND_TIMEOUT_USEC={}", length.as_micros()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn notices_are_said_in_the_words_of_the_protocol() {
        for (notice, text) in [
            (Notice::Ready, "READY=1"),
            (Notice::Reloading, "RELOADING=1\nMONOTONIC_USEC=7"),
            (Notice::Alive, "WATCHDOG=1"),
            (Notice::Status("a\nREADY=1".to_owned()), "STATUS=a READY=1"),
            (Notice::Extend(Duration::from_secs(2)), "EXTEND_TIMEOUT_USEC=2000000"),
        ] {
            assert_eq!(compose(&notice, 7), text);
        }
    }

    #[test]
    fn they_arrive_and_nobody_has_to_listen() {
        let name = format!("monoceros-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixDatagram::bind_addr(&address).unwrap();
        let variable = format!("@{name}");
        let notifier = Notifier::open(Some(OsStr::new(&variable))).unwrap();
        notifier.pass_on(12);
        let mut text = [0; 100];
        let length = listener.recv(&mut text).unwrap();
        assert_eq!(&text[..length], b"MAINPID=12\nREADY=1\nSTATUS=upgraded");
        drop(listener);
        notifier.say(&Notice::Ready);
        Notifier::open(None).unwrap().say(&Notice::Ready);
        assert!(Notifier::open(Some(OsStr::new(&"x".repeat(200)))).is_err());
    }
}
