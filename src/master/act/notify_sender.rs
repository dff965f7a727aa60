//! Owns the socket of the init system (`sd_notify(3)`), and the notifications that its queue
//! had no room for. The init system does not reply. Called by the event loop only.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use monoceros_sys::{clock, reason};

use crate::master::decide::action::Notification;

/// The longest time that the master waits until a message is taken that must not be lost.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most messages that are kept for an init system that takes none.
const MAX_UNSENT: usize = 64;

/// The socket of the init system, if it has set `NOTIFY_SOCKET`.
#[derive(Debug, Default)]
pub(crate) struct NotifySender {
    way: Option<(UnixDatagram, SocketAddr)>,
    /// Messages that its queue had no room for yet.
    unsent: RefCell<VecDeque<String>>,
}

impl NotifySender {
    /// Opens the value of `NOTIFY_SOCKET`: a path, or an abstract name after `@`.
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
        Ok(Self { way: Some((socket, address)), unsent: RefCell::default() })
    }

    /// Sends a notification.
    pub(crate) fn send_notification(&self, notification: &Notification) {
        self.send(compose(notification, clock::monotonic_us()));
    }

    /// Sends the messages that the queue had no room for before.
    pub(crate) fn try_again(&self) {
        let Some((socket, address)) = &self.way else { return };
        let mut unsent = self.unsent.borrow_mut();
        while let Some(text) = unsent.front() {
            match socket.send_to_addr(text.as_bytes(), address) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => log::debug!("cannot notify the init system: {}", reason(&error)),
                Ok(_) => {}
            }
            unsent.pop_front();
        }
    }

    /// Names the successor as the main process; the successor notifies from then on.
    /// Without this message the init system would take the end of this process for the end
    /// of the server.
    pub(crate) fn pass_on(self, pid: i32) {
        if let Some((socket, _)) = &self.way {
            let waits = socket.set_write_timeout(Some(PATIENCE));
            if let Err(error) = waits.and_then(|()| socket.set_nonblocking(false)) {
                log::debug!("cannot wait for the init system: {}", reason(&error));
            }
        }
        self.send(format!("MAINPID={pid}\nSTATUS=upgraded"));
    }

    /// Sends messages in order.
    fn send(&self, text: String) {
        if self.way.is_none() {
            return;
        }
        let mut unsent = self.unsent.borrow_mut();
        if unsent.len() >= MAX_UNSENT {
            unsent.pop_front();
        }
        unsent.push_back(text);
        drop(unsent);
        self.try_again();
    }
}

/// The lines of a notification. A reload includes when it began, by the clock that
/// the init system compares with the time at which it asked.
fn compose(notification: &Notification, now_us: u64) -> String {
    match notification {
        Notification::Ready => "READY=1".to_owned(),
        Notification::Reloading => format!("RELOADING=1\nMONOTONIC_USEC={now_us}"),
        Notification::Stopping => "STOPPING=1".to_owned(),
        Notification::Alive => "WATCHDOG=1".to_owned(),
        // What follows a line end would be another assignment.
        Notification::Status(line) => format!("STATUS={}", line.replace(['\n', '\r'], " ")),
        Notification::Extend(length) => format!("EXTEND_TIMEOUT_USEC={}", length.as_micros()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn notifications_have_the_text_of_the_protocol() {
        for (notification, text) in [
            (Notification::Ready, "READY=1"),
            (Notification::Reloading, "RELOADING=1\nMONOTONIC_USEC=7"),
            (Notification::Alive, "WATCHDOG=1"),
            (Notification::Status("a\nREADY=1".to_owned()), "STATUS=a READY=1"),
            (Notification::Extend(Duration::from_secs(2)), "EXTEND_TIMEOUT_USEC=2000000"),
        ] {
            assert_eq!(compose(&notification, 7), text);
        }
    }

    fn socket_of(notify_sender: &NotifySender) -> &UnixDatagram {
        &notify_sender.way.as_ref().unwrap().0
    }

    #[test]
    fn they_arrive_in_order_and_no_process_has_to_listen() {
        let name = format!("monoceros-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixDatagram::bind_addr(&address).unwrap();
        let variable = format!("@{name}");
        let notify_sender = NotifySender::open(Some(OsStr::new(&variable))).unwrap();
        let mut text = [0; 100];
        let mut hear = || {
            let length = listener.recv(&mut text).unwrap();
            String::from_utf8(text[..length].to_vec()).unwrap()
        };
        // More than the queue has room for (`max_dgram_qlen` in `unix(7)`).
        let fill = || socket_of(&notify_sender).send_to_addr(b"", &address).is_ok();
        let mut filled = 0;
        while fill() {
            filled += 1;
        }
        notify_sender.send_notification(&Notification::Ready);
        notify_sender.send_notification(&Notification::Alive);
        (0..filled).for_each(|_| assert_eq!(hear(), ""));
        notify_sender.try_again();
        assert_eq!([hear(), hear()], ["READY=1", "WATCHDOG=1"]);
        notify_sender.pass_on(12);
        assert_eq!(hear(), "MAINPID=12\nSTATUS=upgraded");
        drop(listener);
        NotifySender::open(Some(OsStr::new(&variable)))
            .unwrap()
            .send_notification(&Notification::Ready);
        NotifySender::open(None).unwrap().send_notification(&Notification::Ready);
        assert!(NotifySender::open(Some(OsStr::new(&"x".repeat(200)))).is_err());
    }
}
