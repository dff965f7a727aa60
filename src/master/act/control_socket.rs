//! Owns the control socket and the connections of commands: accepts them under an abstract
//! name, and reads one request from each. The number of connections is limited, and the
//! master never waits for a client. A request becomes an event. Called by the event loop
//! only.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use monoceros_sys::{memory, reason, seqpacket, socket, user};
use monoceros_wire::channel::{Channel, Incoming};
use monoceros_wire::control::{ControlReply, ControlRequest, PATIENCE, name, secret_name};

use crate::master::act::poller::{PollSource, Poller};
use crate::master::decide::event::MasterEvent;
use crate::master::decide::id::ClientId;

/// The most commands that are connected at a time.
const MAX_CLIENTS: u8 = 16;
/// The most connections that are accepted in one turn of the event loop.
const TURN: usize = 64;

/// The control socket, if it could be opened.
#[derive(Default)]
pub(crate) struct Control {
    open: Option<CommandListener>,
}

struct CommandListener {
    listener: OwnedFd,
    clients: [Option<CommandClient>; MAX_CLIENTS as usize],
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
    /// Accepts commands from now on. A server that cannot open its control socket still
    /// serves: signals do the same.
    pub(crate) fn open(&mut self, poller: &Poller) {
        match CommandListener::new(poller) {
            Ok(open) => self.open = Some(open),
            Err(error) => log::warn!("cannot hear commands, only signals: {}", reason(&error)),
        }
    }

    /// When the next request must have arrived.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let clients = self.open.as_ref()?.clients.iter().flatten();
        clients.filter_map(|client| client.until).min()
    }

    /// Accepts the connections that wait.
    pub(crate) fn accept(&mut self, poller: &Poller, now: Instant) {
        if let Some(open) = &mut self.open {
            open.accept(poller, now);
        }
    }

    /// Reads the request of a connection.
    pub(crate) fn read(&mut self, index: u8, poller: &Poller) -> Option<MasterEvent> {
        self.open.as_mut()?.read(index, poller)
    }

    /// Closes the connections whose request has not arrived in time.
    pub(crate) fn close_overdue(&mut self, poller: &Poller, now: Instant) {
        let Some(open) = &mut self.open else { return };
        for index in 0..MAX_CLIENTS {
            let until = open.client(index).and_then(|client| client.until);
            if until.is_some_and(|at| at <= now) {
                open.leave(index, &ControlReply::failed("nothing was asked"), poller);
            }
        }
    }

    /// Replies and closes the connection. The client may be gone.
    pub(crate) fn reply(&mut self, client: ClientId, reply: &ControlReply, poller: &Poller) {
        let Some(open) = &mut self.open else { return };
        if let Some(index) = open.find(client) {
            open.leave(index, reply, poller);
        }
    }

    /// As above, with a reply that may be longer than a message.
    pub(crate) fn reply_with(&mut self, client: ClientId, document: &str, poller: &Poller) {
        let Some(open) = &mut self.open else { return };
        let Some(index) = open.find(client) else { return };
        match memory::sealed_file("monoceros-reply", document.as_bytes()) {
            Ok(file) => {
                if let Some(client) = open.client(index) {
                    let sent = client.channel.send_with(&ControlReply::Document, &[file.as_fd()]);
                    log_unsent(sent);
                }
                open.vacate(index, poller);
            }
            Err(error) => {
                let text = format!("no memory for the reply: {}", reason(&error));
                open.leave(index, &ControlReply::failed(&text), poller);
            }
        }
    }
}

impl CommandListener {
    fn new(poller: &Poller) -> io::Result<Self> {
        let own = i32::try_from(std::process::id()).map_err(io::Error::other)?;
        let listener = match seqpacket::listen(&name(own)) {
            // Another process has taken the name, which any user can.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                seqpacket::listen(&secret_name(own))?
            }
            listening => listening?,
        };
        poller.register(listener.as_fd(), PollSource::ControlSocket)?;
        Ok(Self { listener, clients: [const { None }; MAX_CLIENTS as usize], next: 0 })
    }

    /// The connection of a client.
    fn find(&self, client: ClientId) -> Option<u8> {
        let is_meant = |index: &u8| self.client(*index).is_some_and(|it| it.id == client);
        (0..MAX_CLIENTS).find(is_meant)
    }

    fn client(&self, index: u8) -> Option<&CommandClient> {
        self.clients.get(usize::from(index))?.as_ref()
    }

    fn accept(&mut self, poller: &Poller, now: Instant) {
        for _ in 0..TURN {
            match socket::accept(self.listener.as_fd()) {
                Ok(accepted) => self.admit(accepted.fd, poller, now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return log::warn!("cannot hear a command: {}", reason(&error)),
            }
        }
        // More connections may wait, which the kernel does not report again.
        let (fd, source) = (self.listener.as_fd(), PollSource::ControlSocket);
        if let Err(error) = poller.report_again(fd, source) {
            log::warn!("cannot hear commands any more: {}", reason(&error));
        }
    }

    /// Admits a connection, or replies why not.
    fn admit(&mut self, fd: OwnedFd, poller: &Poller, now: Instant) {
        let channel = Channel::from(fd);
        let index = check(&channel).and_then(|()| {
            let free = (0..MAX_CLIENTS).find(|index| self.client(*index).is_none());
            free.ok_or_else(|| "too many commands wait for the server; try again".to_owned())
        });
        let index = match index {
            Ok(index) => index,
            Err(text) => return send(&channel, &ControlReply::failed(&text)),
        };
        let source = PollSource::ControlClient(index);
        if let Err(error) = poller.register(channel.as_fd(), source) {
            return log::warn!("cannot hear a command: {}", reason(&error));
        }
        let id = ClientId(self.next);
        self.next += 1;
        let client = CommandClient { id, channel, until: Some(now + PATIENCE) };
        self.clients[usize::from(index)] = Some(client);
    }

    /// Reads the one request of a client.
    fn read(&mut self, index: u8, poller: &Poller) -> Option<MasterEvent> {
        let client = self.clients.get_mut(usize::from(index))?.as_mut()?;
        match client.channel.receive() {
            Ok(Incoming::Nothing) => {}
            Ok(Incoming::Message(request)) if client.until.take().is_some() => {
                let pid = seqpacket::peer(client.channel.as_fd()).map_or(0, |peer| peer.pid);
                log::debug!("pid {pid} asks: {request:?}");
                return Some(MasterEvent::Requested { client: client.id, request });
            }
            Ok(Incoming::Message(_)) => {
                self.leave(
                    index,
                    &ControlReply::failed("a connection carries one command only"),
                    poller,
                );
            }
            Ok(Incoming::Closed) => self.vacate(index, poller),
            Err(error) => {
                let text = format!("the server does not know this command: {}", reason(&error));
                self.leave(index, &ControlReply::failed(&text), poller);
            }
        }
        None
    }

    fn leave(&mut self, index: u8, reply: &ControlReply, poller: &Poller) {
        if let Some(client) = self.client(index) {
            send(&client.channel, reply);
        }
        self.vacate(index, poller);
    }

    fn vacate(&mut self, index: u8, poller: &Poller) {
        let client = self.clients.get_mut(usize::from(index)).and_then(Option::take);
        if let Some(client) = client {
            poller.deregister(client.channel.as_fd());
        }
    }
}

/// Whether this client may send commands: abstract names have no permissions.
fn check(channel: &Channel<ControlReply, ControlRequest>) -> Result<(), String> {
    let peer = seqpacket::peer(channel.as_fd()).map_err(|error| {
        format!("cannot find out which process sends the command: {}", reason(&error))
    })?;
    let own = user::own_uid();
    if peer.uid == 0 || peer.uid == own {
        return Ok(());
    }
    Err(format!("permission denied: user {} is neither the server's user {own} nor root", peer.uid))
}

/// Sends the reply if the socket has room for it. The master does not wait for a client
/// that does not read.
fn send(channel: &Channel<ControlReply, ControlRequest>, reply: &ControlReply) {
    log_unsent(channel.send(reply));
}

fn log_unsent(sent: io::Result<()>) {
    if let Err(error) = sent {
        log::debug!("cannot answer a command: {}", reason(&error));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::time::Duration;

    use super::*;

    /// All tests listen under the one name of this process.
    static NAME: Mutex<()> = Mutex::new(());

    type CommandEnd = Channel<ControlRequest, ControlReply>;

    struct ControlBench {
        control: Control,
        poller: Poller,
        now: Instant,
        _alone: MutexGuard<'static, ()>,
    }

    impl ControlBench {
        fn open() -> Self {
            let alone = NAME.lock().unwrap_or_else(PoisonError::into_inner);
            let (mut control, poller) = (Control::default(), Poller::new().unwrap());
            control.open(&poller);
            Self { control, poller, now: Instant::now(), _alone: alone }
        }

        fn connect(&self) -> CommandEnd {
            let pid = std::process::id().cast_signed();
            Channel::from(seqpacket::connect(&name(pid), None).unwrap())
        }

        /// Handles what has arrived; returns the events.
        fn turn(&mut self) -> Vec<MasterEvent> {
            let mut events = Vec::new();
            for source in self.poller.wait(Some(Duration::ZERO)) {
                match source {
                    PollSource::ControlSocket => self.control.accept(&self.poller, self.now),
                    PollSource::ControlClient(index) => {
                        events.extend(self.control.read(index, &self.poller));
                    }
                    other => panic!("{other:?}"),
                }
            }
            events
        }
    }

    /// The reason of a reply that the command has failed.
    fn failure(client: &CommandEnd) -> String {
        match client.receive().unwrap() {
            Incoming::Message(ControlReply::Failed(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_connection_carries_one_command_and_gets_one_reply() {
        let mut bench = ControlBench::open();
        let client = bench.connect();
        client.send(&ControlRequest::Reload).unwrap();
        assert!(bench.turn().is_empty(), "it is accepted first");
        assert!(bench.control.deadline().is_some());
        let events = bench.turn();
        let [MasterEvent::Requested { client: id, request: ControlRequest::Reload }] = events[..]
        else {
            panic!("{events:?}");
        };
        assert_eq!(bench.control.deadline(), None, "the reply may take its time");
        bench.control.reply(id, &ControlReply::Stopping, &bench.poller);
        assert!(matches!(client.receive().unwrap(), Incoming::Message(ControlReply::Stopping)));
        assert!(matches!(client.receive().unwrap(), Incoming::Closed));
        // The client is gone.
        bench.control.reply(id, &ControlReply::Stopping, &bench.poller);
        let second = bench.connect();
        second.send(&ControlRequest::Status).unwrap();
        second.send(&ControlRequest::Stop).unwrap();
        bench.turn();
        assert_eq!(bench.turn().len(), 1);
        // Its token is reported once for both messages.
        assert!(bench.control.read(0, &bench.poller).is_none());
        assert!(failure(&second).contains("one command only"));
    }

    #[test]
    fn a_connection_without_a_command_is_closed_in_time() {
        let mut bench = ControlBench::open();
        let client = bench.connect();
        bench.turn();
        bench.control.close_overdue(&bench.poller, bench.now);
        assert!(matches!(client.receive().unwrap(), Incoming::Nothing));
        let deadline = bench.control.deadline().unwrap();
        assert_eq!(deadline, bench.now + PATIENCE);
        bench.control.close_overdue(&bench.poller, deadline);
        assert_eq!(failure(&client), "nothing was asked");
    }

    #[test]
    fn the_number_of_connections_is_limited() {
        let mut bench = ControlBench::open();
        let mut clients = Vec::new();
        for _ in 0..MAX_CLIENTS {
            clients.push(bench.connect());
            bench.turn();
        }
        let refused = bench.connect();
        bench.turn();
        assert!(failure(&refused).contains("too many commands"));
        drop(clients.pop());
        bench.turn();
        let admitted = bench.connect();
        bench.turn();
        assert!(matches!(admitted.receive().unwrap(), Incoming::Nothing));
    }
}
