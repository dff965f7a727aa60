//! The control socket: accepts the connections of commands under an abstract name, and
//! reads one request from each. The number of connections is limited, and the master never
//! waits for a client. Requests become events; what becomes of them is decided elsewhere.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use monoceros_sys::seqpacket;
use monoceros_sys::{reason, socket, user};
use monoceros_wire::channel::{Channel, Incoming};
use monoceros_wire::control::{ControlReply, ControlRequest, PATIENCE, name, secret_name};

use crate::master::decide::event::MasterEvent;
use crate::master::decide::id::ClientId;

/// The most commands that are connected at a time.
const MAX_CLIENTS: usize = 16;
/// The most connections that are accepted in one turn of the event loop.
const TURN: usize = 64;

/// The control socket, if it could be opened.
pub(crate) struct Control {
    open: Option<CommandListener>,
    /// The token of the listener. The tokens of the connections come after it.
    first: Token,
}

struct CommandListener {
    listener: OwnedFd,
    registry: Registry,
    clients: [Option<CommandClient>; MAX_CLIENTS],
    next: u64,
}

/// A connection that may send one request.
struct CommandClient {
    id: ClientId,
    channel: Channel<ControlReply, ControlRequest>,
    /// When its request must have arrived; `None` after that.
    until: Option<Instant>,
}

impl Control {
    /// The number of tokens that it needs.
    pub(crate) const TOKENS: usize = MAX_CLIENTS + 1;

    /// Not open yet.
    pub(crate) fn closed(first: Token) -> Self {
        Self { open: None, first }
    }

    /// Accepts commands from now on. A server that cannot open its control socket still
    /// serves: signals do the same.
    pub(crate) fn open(&mut self, registry: &Registry) {
        match CommandListener::new(registry, self.first) {
            Ok(open) => self.open = Some(open),
            Err(error) => log::warn!("cannot hear commands, only signals: {}", reason(&error)),
        }
    }

    /// When the next request must have arrived.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.open.as_ref()?.connected().filter_map(|client| client.until).min()
    }

    /// Accepts new connections, or reads the request of one. Ignores the tokens of others.
    pub(crate) fn read(&mut self, token: Token, now: Instant) -> Option<MasterEvent> {
        let Self { open, first } = self;
        let open = open.as_mut()?;
        match token.0.checked_sub(first.0)? {
            0 => {
                open.accept(*first, now);
                None
            }
            index => open.read(index - 1),
        }
    }

    /// Closes the connections whose request has not arrived in time.
    pub(crate) fn close_overdue(&mut self, now: Instant) {
        let Some(open) = &mut self.open else { return };
        for index in 0..MAX_CLIENTS {
            let until = open.clients[index].as_ref().and_then(|client| client.until);
            if until.is_some_and(|at| at <= now) {
                open.leave(index, &ControlReply::failed("nothing was asked"));
            }
        }
    }

    /// Replies and closes the connection. The client may be gone.
    pub(crate) fn answer(&mut self, client: ClientId, answer: &ControlReply) {
        let Some(open) = &mut self.open else { return };
        let is_meant =
            |index: &Option<CommandClient>| index.as_ref().is_some_and(|it| it.id == client);
        if let Some(index) = open.clients.iter().position(is_meant) {
            open.leave(index, answer);
        }
    }
}

impl CommandListener {
    fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let own = i32::try_from(std::process::id()).map_err(io::Error::other)?;
        let listener = match seqpacket::listen(&name(own)) {
            // Another process has taken the name, which any user can.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                seqpacket::listen(&secret_name(own))?
            }
            listening => listening?,
        };
        let registry = registry.try_clone()?;
        registry.register(&mut SourceFd(&listener.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { listener, registry, clients: [const { None }; MAX_CLIENTS], next: 0 })
    }

    fn connected(&self) -> impl Iterator<Item = &CommandClient> {
        self.clients.iter().flatten()
    }

    fn accept(&mut self, first: Token, now: Instant) {
        for _ in 0..TURN {
            match socket::accept(self.listener.as_fd()) {
                Ok(accepted) => self.admit(accepted.fd, first, now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return log::warn!("cannot hear a command: {}", reason(&error)),
            }
        }
        // More connections may wait, which the kernel does not report again.
        let source = &mut SourceFd(&self.listener.as_raw_fd());
        if let Err(error) = self.registry.reregister(source, first, Interest::READABLE) {
            log::warn!("cannot hear commands any more: {}", reason(&error));
        }
    }

    /// Admits a connection, or replies why not.
    fn admit(&mut self, fd: OwnedFd, first: Token, now: Instant) {
        let channel = Channel::from(fd);
        let index = check(&channel).and_then(|()| {
            let free = self.clients.iter().position(Option::is_none);
            free.ok_or_else(|| "too many commands wait for the server; try again".to_owned())
        });
        let index = match index {
            Ok(index) => index,
            Err(text) => return say(&channel, &ControlReply::failed(&text)),
        };
        let (fd, token) = (channel.as_fd().as_raw_fd(), Token(first.0 + 1 + index));
        if let Err(error) = self.registry.register(&mut SourceFd(&fd), token, Interest::READABLE) {
            return log::warn!("cannot hear a command: {}", reason(&error));
        }
        let id = ClientId(self.next);
        self.next += 1;
        self.clients[index] = Some(CommandClient { id, channel, until: Some(now + PATIENCE) });
    }

    /// Reads the one request of a client.
    fn read(&mut self, index: usize) -> Option<MasterEvent> {
        let client = self.clients.get_mut(index)?.as_mut()?;
        match client.channel.receive() {
            Ok(Incoming::Nothing) => {}
            Ok(Incoming::Message(request)) if client.until.take().is_some() => {
                let pid = seqpacket::peer(client.channel.as_fd()).map_or(0, |peer| peer.pid);
                log::debug!("pid {pid} asks: {request:?}");
                return Some(MasterEvent::Requested { client: client.id, request });
            }
            Ok(Incoming::Message(_)) => {
                self.leave(index, &ControlReply::failed("a command asks once"))
            }
            Ok(Incoming::Closed) => self.vacate(index),
            Err(error) => {
                let text = format!("the server does not know this command: {}", reason(&error));
                self.leave(index, &ControlReply::failed(&text));
            }
        }
        None
    }

    fn leave(&mut self, index: usize, answer: &ControlReply) {
        if let Some(client) = &self.clients[index] {
            say(&client.channel, answer);
        }
        self.vacate(index);
    }

    fn vacate(&mut self, index: usize) {
        if let Some(client) = self.clients[index].take() {
            let fd = client.channel.as_fd().as_raw_fd();
            // Closing the descriptor does the same, unless a process that is about to
            // execute its program has a copy of it.
            drop(self.registry.deregister(&mut SourceFd(&fd)));
        }
    }
}

/// Whether this client may send commands: abstract names have no permissions.
fn check(channel: &Channel<ControlReply, ControlRequest>) -> Result<(), String> {
    let peer = seqpacket::peer(channel.as_fd())
        .map_err(|error| format!("cannot tell who asks: {}", reason(&error)))?;
    let own = user::own_uid();
    if peer.uid == 0 || peer.uid == own {
        return Ok(());
    }
    Err(format!("permission denied: user {} is neither the server's user {own} nor root", peer.uid))
}

/// Sends the reply if the socket has room for it. The master does not wait for a client
/// that does not read.
fn say(channel: &Channel<ControlReply, ControlRequest>, answer: &ControlReply) {
    if let Err(error) = channel.send(answer) {
        log::debug!("cannot answer a command: {}", reason(&error));
    }
}
