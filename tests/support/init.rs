//! What an init system hears of a server that it has started (`sd_notify(3)`):
//! every message, in order, and from which process.

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

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The process that has sent it, as the kernel knows it.
    pub(crate) sender: i32,
    /// The parent of the process that it names as the main one, at that moment.
    pub(crate) main_parent: Option<i32>,
    pub(crate) text: String,
}

impl Message {
    /// The value that is assigned to `name`.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }
}

/// An init system that only listens.
pub(crate) struct Init {
    /// For `NOTIFY_SOCKET`.
    pub(crate) address: OsString,
    heard: Arc<Mutex<Vec<Message>>>,
}

impl Init {
    /// Listens on a file in the directory of a test.
    pub(crate) fn at_path(directory: &Directory) -> Self {
        // Its end is not the server's business: see the look around.
        let path = directory.join("notify").join("socket");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        Self::over(UnixDatagram::bind(&path).unwrap(), path.into())
    }

    /// Listens on a name that is no file's.
    pub(crate) fn at_name() -> Self {
        let name = own_name();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        Self::over(UnixDatagram::bind_addr(&address).unwrap(), format!("@{name}").into())
    }

    fn over(socket: UnixDatagram, address: OsString) -> Self {
        setsockopt(&socket, PassCred, &true).unwrap();
        let heard = Arc::<Mutex<Vec<Message>>>::default();
        let notes = Arc::clone(&heard);
        // The queue of the socket is short: somebody has to read all the time.
        // The thread ends with the test's process.
        thread::spawn(move || {
            loop {
                let message = receive(&socket);
                notes.lock().unwrap().push(message);
            }
        });
        Self { address, heard }
    }

    /// Everything so far.
    pub(crate) fn heard(&self) -> Vec<Message> {
        self.heard.lock().unwrap().clone()
    }

    /// How many messages there were so far.
    pub(crate) fn count(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    /// Waits for a message after the first `from` that assigns `name` such a
    /// value, and returns where it is, and the message.
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

    /// How many messages from `from` to `to` assign `name` anything.
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
