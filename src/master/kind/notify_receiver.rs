//! Receives what a program announces (`sd_notify(3)`): the socket that `NOTIFY_SOCKET`
//! names, and the meaning of the messages. Decides nothing.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use monoceros_sys::notify_socket::NotifySocket;

/// The longest message that is read, in bytes; longer ones are ignored, as
/// systemd does it.
const LONGEST: usize = 4096;
/// The most characters of a status that are shown.
const LONGEST_STATUS: usize = 200;

/// The socket of one worker.
#[derive(Debug)]
pub(crate) struct NotifyReceiver {
    mailbox: NotifySocket,
    /// The user that the worker runs as. Messages of other users are ignored.
    uid: u32,
}

/// The content of a message. Other assignments (`MAINPID`, `WATCHDOG`, `FDSTORE`) have no
/// meaning for the master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NotifyMessage {
    /// `READY=1`: the program can serve.
    pub(crate) ready: bool,
    /// `STOPPING=1`: the program is about to end.
    pub(crate) stopping: bool,
    /// `STATUS=`: what the program does, for people.
    pub(crate) status: Option<String>,
}

impl NotifyReceiver {
    /// Opens the socket for a process that will run as this user.
    pub(crate) fn open(uid: u32) -> io::Result<Self> {
        Ok(Self { mailbox: NotifySocket::open()?, uid })
    }

    /// The value of `NOTIFY_SOCKET`.
    pub(crate) fn address(&self) -> &str {
        self.mailbox.address()
    }

    /// Reads the next message. It is empty if it does not come from the user of the worker,
    /// or has no meaning for the master.
    ///
    /// # Errors
    /// `WouldBlock` when there is none.
    pub(crate) fn read(&self) -> io::Result<NotifyMessage> {
        let mut bytes = [0; LONGEST];
        let letter = self.mailbox.take(&mut bytes)?;
        if letter.is_cut || letter.uid != Some(self.uid) {
            return Ok(NotifyMessage::default());
        }
        Ok(read(&bytes[..letter.length]))
    }
}

impl AsFd for NotifyReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.mailbox.as_fd()
    }
}

/// Parses a message: lines of `NAME=VALUE`. If a name comes twice, the last one counts.
fn read(message: &[u8]) -> NotifyMessage {
    let mut notification = NotifyMessage::default();
    for line in message.split(|byte| *byte == b'\n') {
        match line {
            b"READY=1" => notification.ready = true,
            b"STOPPING=1" => notification.stopping = true,
            _ => {
                if let Some(status) = line.strip_prefix(b"STATUS=") {
                    notification.status = Some(printable(status));
                }
            }
        }
    }
    notification
}

/// Text without control characters, for the log.
fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars().filter(|letter| !letter.is_control()).take(LONGEST_STATUS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_made_of_lines() {
        let parsed = |message: &str| read(message.as_bytes());
        let ready = NotifyMessage { ready: true, ..NotifyMessage::default() };
        let both = NotifyMessage { ready: true, stopping: true, status: Some("a=b".to_owned()) };
        assert_eq!(parsed("READY=1"), ready);
        assert_eq!(parsed("READY=1\n"), ready);
        assert_eq!(parsed("STATUS=x\nMAINPID=1\nREADY=1\nSTATUS=a=b\nSTOPPING=1"), both);
        assert_eq!(parsed("STATUS=").status.as_deref(), Some(""));
    }

    #[test]
    fn what_is_unknown_means_nothing() {
        for message in [
            "",
            "\n\n",
            "READY",
            "READY=",
            "READY=0",
            "READY=11",
            " READY=1",
            "READY=1 ",
            "READY=1\r\n",
            "ready=1",
            "XREADY=1",
            "WATCHDOG=1",
            "FDSTORE=1\nFDNAME=x",
            "=",
            "=1",
        ] {
            assert_eq!(read(message.as_bytes()), NotifyMessage::default(), "{message:?}");
        }
    }

    #[test]
    fn a_status_is_one_short_line_of_text() {
        let status = |text: &[u8]| read(&[b"STATUS=", text].concat()).status.unwrap();
        assert_eq!(status(b"a\x1b[31mb\r\x07\0c"), "a[31mbc");
        assert_eq!(status(b"\xff\xc3"), "\u{fffd}\u{fffd}");
        assert_eq!(status(&[b'x'; 4000]).len(), LONGEST_STATUS);
        assert_eq!(status("é".repeat(300).as_bytes()).chars().count(), LONGEST_STATUS);
    }

    #[test]
    fn no_bytes_are_too_strange() {
        // Every message of up to three of the bytes that mean something.
        let bytes = *b"READY=1\n\0\xff";
        for a in bytes {
            for b in bytes {
                for c in bytes {
                    let message = [b"READY=".as_slice(), &[a, b, c]].concat();
                    let ends = a == b'1' && b == b'\n';
                    assert_eq!(read(&message).ready, ends, "{message:?}");
                }
            }
        }
    }

    #[test]
    fn only_the_workers_user_is_believed() {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::{SocketAddr, UnixDatagram};
        let own = monoceros_sys::user::own_uid();
        for (uid, believed) in [(own, true), (own + 1, false)] {
            let receiver = NotifyReceiver::open(uid).unwrap();
            assert_eq!(receiver.read().unwrap_err().kind(), io::ErrorKind::WouldBlock);
            let name = receiver.address().strip_prefix('@').unwrap();
            let address = SocketAddr::from_abstract_name(name).unwrap();
            let sender = UnixDatagram::unbound().unwrap();
            sender.send_to_addr(b"READY=1", &address).unwrap();
            sender
                .send_to_addr(&[b"READY=1\n".as_slice(), &[b'x'; LONGEST]].concat(), &address)
                .unwrap();
            assert_eq!(receiver.read().unwrap().ready, believed);
            assert_eq!(receiver.read().unwrap(), NotifyMessage::default(), "too long");
        }
    }
}
