//! The master's side of operators' commands: a listening socket under an
//! abstract name, and a few seats for who connects. Nobody there can make the
//! master wait, or take more of it than a seat. What is asked goes to the
//! master's mind as events; nothing is decided here but who is heard.

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

/// How many commands are heard at a time.
const SEATS: usize = 16;
/// The most connections that are taken in one turn of the loop.
const TURN: usize = 64;

/// The way to hear commands, if there is one.
pub(crate) struct Control {
    open: Option<CommandListener>,
    /// The token of the listener; those of the seats come after it.
    first: Token,
}

struct CommandListener {
    listener: OwnedFd,
    registry: Registry,
    seats: [Option<CommandClient>; SEATS],
    next: u64,
}

/// A connection that may ask once.
struct CommandClient {
    id: ClientId,
    channel: Channel<ControlReply, ControlRequest>,
    /// When it has been silent for too long; `None` when it has asked.
    until: Option<Instant>,
}

impl Control {
    /// So many tokens it needs.
    pub(crate) const TOKENS: usize = SEATS + 1;

    /// Hears nobody yet.
    pub(crate) fn deaf(first: Token) -> Self {
        Self { open: None, first }
    }

    /// Hears commands from now on. A server that cannot still serves: signals
    /// do the same.
    pub(crate) fn open(&mut self, registry: &Registry) {
        match CommandListener::new(registry, self.first) {
            Ok(open) => self.open = Some(open),
            Err(error) => log::warn!("cannot hear commands, only signals: {}", reason(&error)),
        }
    }

    /// When somebody will have been silent for too long.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.open.as_ref()?.clients().filter_map(|client| client.until).min()
    }

    /// What is asked on a connection, or on new ones. Tokens of others mean
    /// nothing here.
    pub(crate) fn hear(&mut self, token: Token, now: Instant) -> Option<MasterEvent> {
        let Self { open, first } = self;
        let open = open.as_mut()?;
        match token.0.checked_sub(first.0)? {
            0 => {
                open.accept(*first, now);
                None
            }
            seat => open.hear(seat - 1),
        }
    }

    /// Lets those go that have been silent for too long.
    pub(crate) fn close_silent(&mut self, now: Instant) {
        let Some(open) = &mut self.open else { return };
        for seat in 0..SEATS {
            let until = open.seats[seat].as_ref().and_then(|client| client.until);
            if until.is_some_and(|at| at <= now) {
                open.leave(seat, &ControlReply::failed("nothing was asked"));
            }
        }
    }

    /// Answers and hangs up. Who asked may be gone.
    pub(crate) fn answer(&mut self, client: ClientId, answer: &ControlReply) {
        let Some(open) = &mut self.open else { return };
        let is_meant =
            |seat: &Option<CommandClient>| seat.as_ref().is_some_and(|it| it.id == client);
        if let Some(seat) = open.seats.iter().position(is_meant) {
            open.leave(seat, answer);
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
        Ok(Self { listener, registry, seats: [const { None }; SEATS], next: 0 })
    }

    fn clients(&self) -> impl Iterator<Item = &CommandClient> {
        self.seats.iter().flatten()
    }

    fn accept(&mut self, first: Token, now: Instant) {
        for _ in 0..TURN {
            match socket::accept(self.listener.as_fd()) {
                Ok(accepted) => self.admit(accepted.fd, first, now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return log::warn!("cannot hear a command: {}", reason(&error)),
            }
        }
        // There may be more, of which the kernel has told already.
        let source = &mut SourceFd(&self.listener.as_raw_fd());
        if let Err(error) = self.registry.reregister(source, first, Interest::READABLE) {
            log::warn!("cannot hear commands any more: {}", reason(&error));
        }
    }

    /// Gives a seat to a connection, or says why not.
    fn admit(&mut self, fd: OwnedFd, first: Token, now: Instant) {
        let channel = Channel::from(fd);
        let seat = check(&channel).and_then(|()| {
            let free = self.seats.iter().position(Option::is_none);
            free.ok_or_else(|| "too many commands wait for the server; try again".to_owned())
        });
        let seat = match seat {
            Ok(seat) => seat,
            Err(text) => return say(&channel, &ControlReply::failed(&text)),
        };
        let (fd, token) = (channel.as_fd().as_raw_fd(), Token(first.0 + 1 + seat));
        if let Err(error) = self.registry.register(&mut SourceFd(&fd), token, Interest::READABLE) {
            return log::warn!("cannot hear a command: {}", reason(&error));
        }
        let id = ClientId(self.next);
        self.next += 1;
        self.seats[seat] = Some(CommandClient { id, channel, until: Some(now + PATIENCE) });
    }

    /// The request of a client, if this is it: it may ask once.
    fn hear(&mut self, seat: usize) -> Option<MasterEvent> {
        let client = self.seats.get_mut(seat)?.as_mut()?;
        match client.channel.receive() {
            Ok(Incoming::Nothing) => {}
            Ok(Incoming::Message(request)) if client.until.take().is_some() => {
                let pid = seqpacket::peer(client.channel.as_fd()).map_or(0, |peer| peer.pid);
                log::debug!("pid {pid} asks: {request:?}");
                return Some(MasterEvent::Requested { client: client.id, request });
            }
            Ok(Incoming::Message(_)) => {
                self.leave(seat, &ControlReply::failed("a command asks once"))
            }
            Ok(Incoming::Closed) => self.vacate(seat),
            Err(error) => {
                let text = format!("the server does not know this command: {}", reason(&error));
                self.leave(seat, &ControlReply::failed(&text));
            }
        }
        None
    }

    fn leave(&mut self, seat: usize, answer: &ControlReply) {
        if let Some(client) = &self.seats[seat] {
            say(&client.channel, answer);
        }
        self.vacate(seat);
    }

    fn vacate(&mut self, seat: usize) {
        if let Some(client) = self.seats[seat].take() {
            let fd = client.channel.as_fd().as_raw_fd();
            // Closing it does the same, unless it is held by a process that is
            // about to execute its program.
            drop(self.registry.deregister(&mut SourceFd(&fd)));
        }
    }
}

/// Whether this client may ask: abstract names have no permissions.
fn check(channel: &Channel<ControlReply, ControlRequest>) -> Result<(), String> {
    let peer = seqpacket::peer(channel.as_fd())
        .map_err(|error| format!("cannot tell who asks: {}", reason(&error)))?;
    let own = user::own_uid();
    if peer.uid == 0 || peer.uid == own {
        return Ok(());
    }
    Err(format!("permission denied: user {} is neither the server's user {own} nor root", peer.uid))
}

/// Sends what the socket has room for: a message or nothing. Who does not read
/// is not waited for.
fn say(channel: &Channel<ControlReply, ControlRequest>, answer: &ControlReply) {
    if let Err(error) = channel.send(answer) {
        log::debug!("cannot answer a command: {}", reason(&error));
    }
}
