//! An init system for tests: records every notification of a server (`sd_notify(3)`) in
//! order, with its sender.

use std::ffi::OsString;
use std::io::IoSliceMut;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, setsockopt, sockopt::PassCred,
};

use super::directory::Directory;
use super::setup::own_name;
use super::{process, until};

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The sender, by the kernel.
    pub(crate) sender: i32,
    /// The parent of the process that it names as the main one, when it was received.
    pub(crate) main_parent: Option<i32>,
    pub(crate) text: String,
}

impl Message {
    /// The value that is assigned to `name`.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }
}

/// An init system that only records notifications.
pub(crate) struct Init {
    /// For `NOTIFY_SOCKET`.
    pub(crate) address: OsString,
    heard: Arc<Mutex<Vec<Message>>>,
}

impl Init {
    /// Listens on a file in the directory of a test.
    pub(crate) fn at_path(directory: &Directory) -> Self {
        // In a directory of its own: the checks after the test would report the socket.
        let path = directory.join("notify").join("socket");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        Self::over(UnixDatagram::bind(&path).unwrap(), path.into())
    }

    /// Listens at an abstract name.
    pub(crate) fn at_name() -> Self {
        let name = own_name();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        Self::over(UnixDatagram::bind_addr(&address).unwrap(), format!("@{name}").into())
    }

    fn over(socket: UnixDatagram, address: OsString) -> Self {
        setsockopt(&socket, PassCred, &true).unwrap();
        let heard = Arc::<Mutex<Vec<Message>>>::default();
        let notes = Arc::clone(&heard);
        // The queue of the socket is short, so a thread reads all the time. It ends with
        // the test's process.
        thread::spawn(move || {
            loop {
                let message = receive(&socket);
                notes.lock().unwrap().push(message);
            }
        });
        Self { address, heard }
    }

    /// All notifications so far.
    pub(crate) fn heard(&self) -> Vec<Message> {
        self.heard.lock().unwrap().clone()
    }

    /// The number of notifications so far.
    pub(crate) fn count(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    /// Waits for a notification after the first `from` that assigns such a value to
    /// `name`, and returns its position and the notification.
    pub(crate) fn wait_for(
        &self,
        from: usize,
        name: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> (usize, Message) {
        let found = until::within(until::DEADLINE, || self.find(from, name, &wanted));
        found.unwrap_or_else(|| panic!("{name} in vain after {from} in {:#?}", self.heard()))
    }

    fn find(
        &self,
        from: usize,
        name: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Option<(usize, Message)> {
        let heard = self.heard.lock().unwrap();
        let mut after = heard.iter().enumerate().skip(from);
        let found = after.find(|(_, message)| message.value(name).is_some_and(&wanted));
        found.map(|(at, message)| (at, message.clone()))
    }

    /// The number of notifications from `from` to `to` that assign a value to `name`.
    pub(crate) fn times(&self, name: &str, from: usize, to: usize) -> usize {
        let heard = self.heard();
        heard[from..to].iter().filter(|message| message.value(name).is_some()).count()
    }
}

fn receive(socket: &UnixDatagram) -> Message {
    let mut bytes = [0; 4096];
    let mut space = nix::cmsg_space!(nix::sys::socket::UnixCredentials);
    let (length, sender) = {
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::empty();
        let fd = socket.as_raw_fd();
        let got = recvmsg::<UnixAddr>(fd, &mut slices, Some(&mut space), flags).unwrap();
        let sender = got.cmsgs().unwrap().find_map(|control| match control {
            ControlMessageOwned::ScmCredentials(credentials) => Some(credentials.pid()),
            _ => None,
        });
        (got.bytes, sender.expect("the kernel adds the credentials"))
    };
    let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
    let mut message = Message { sender, main_parent: None, text };
    let main = message.value("MAINPID").map(|pid| pid.parse().unwrap());
    message.main_parent = main.and_then(process::state).map(|(_, parent)| parent);
    message
}
