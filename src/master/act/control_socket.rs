//! Owns the control socket and the connections of commands: accepts them under an abstract
//! name, and reads one request from each. The number of connections is limited, and the
//! master never waits for a client. A request becomes an event. Called by the event loop
//! only.
//!
//! A connection without a request disturbs no other one: when there are many of them, the
//! oldest is displaced by the newest.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use monoceros_sys::{memory, reason, seqpacket, socket, user};
use monoceros_wire::channel::{Channel, Incoming};
use monoceros_wire::control::{ControlReply, ControlRequest, PATIENCE, name, secret_name};

use crate::master::act::poller::{PollSource, Poller};
use crate::master::decide::event::MasterEvent;
use crate::master::decide::id::ClientId;

/// The most connections on which no request has arrived.
const MOST_SILENT: u8 = 32;
/// The most commands that wait until something has come out.
const MOST_WAITING: u8 = 16;
/// The most connections that are accepted in one turn of the event loop.
const TURN: u8 = 64;
/// The seats of connections. In one turn each silent connection and each new one may turn
/// out to have a request that is replied to at the end of the turn.
const SEATS: u8 = MOST_SILENT + MOST_WAITING + TURN;

/// How long no connection is accepted when one could not be.
const PAUSE: Duration = Duration::from_secs(1);
/// How many descriptors are kept for commands: a connection, and what its reply is written to.
const SPARES: usize = 2;

/// The control socket, if it could be opened.
#[derive(Default)]
pub(crate) struct Control {
    open: Option<CommandListener>,
}

struct CommandListener {
    listener: OwnedFd,
    clients: [Option<CommandClient>; SEATS as usize],
    next: u64,
    /// Copies of the listener's descriptor. They are closed when the process may have no more
    /// descriptors: a command is answered then too.
    spares: Vec<OwnedFd>,
    /// When connections are accepted again, after one could not be.
    paused: Option<Instant>,
}

/// A connection that may send one request.
struct CommandClient {
    id: ClientId,
    channel: Channel<ControlReply, ControlRequest>,
    /// When its request must have arrived; `None` after that.
    until: Option<Instant>,
    /// Its command waits until something has come out.
    waits: bool,
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
        let open = self.open.as_ref()?;
        let clients = open.clients.iter().flatten();
        clients.filter_map(|client| client.until).chain(open.paused).min()
    }

    /// Accepts the connections that wait.
    pub(crate) fn accept(
        &mut self,
        poller: &Poller,
        now: Instant,
        events: &mut VecDeque<MasterEvent>,
    ) {
        if let Some(open) = &mut self.open {
            open.accept(poller, now, events);
        }
    }

    /// Reads the request of a connection.
    pub(crate) fn read(&mut self, index: u8, poller: &Poller, events: &mut VecDeque<MasterEvent>) {
        if let Some(open) = &mut self.open {
            open.read(index, poller, events);
        }
    }

    /// Closes the connections whose request has not arrived in time, and has others accepted
    /// that could not be before.
    pub(crate) fn close_overdue(&mut self, poller: &Poller, now: Instant) {
        let Some(open) = &mut self.open else { return };
        open.keep_spares();
        if open.paused.is_some_and(|at| at <= now) {
            open.paused = None;
            open.report_again(poller);
        }
        for index in 0..SEATS {
            let until = open.client(index).and_then(|client| client.until);
            if until.is_some_and(|at| at <= now) {
                open.leave(index, &ControlReply::failed("nothing was asked"), poller);
            }
        }
    }

    /// Replies and closes the connection. The client may be gone.
    pub(crate) fn reply(&mut self, client: ClientId, reply: &ControlReply, poller: &Poller) {
        let Some(open) = &mut self.open else { return };
        if let Some(index) = open.seat_of(client) {
            open.leave(index, reply, poller);
        }
    }

    /// As above, with a reply that may be longer than a message.
    pub(crate) fn reply_with(&mut self, client: ClientId, document: &str, poller: &Poller) {
        let Some(open) = &mut self.open else { return };
        let Some(index) = open.seat_of(client) else { return };
        match memory::sealed_file("monoceros-reply", document.as_bytes()) {
            Ok(file) => {
                if let Some(client) = open.client(index) {
                    send(&client.channel, &ControlReply::Document, &[file.as_fd()]);
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
        let clients = [const { None }; SEATS as usize];
        Ok(Self { listener, clients, next: 0, spares: Vec::new(), paused: None })
    }

    /// Takes the spare descriptors again. As long as there are clients, these may need them.
    fn keep_spares(&mut self) {
        while self.spares.len() < SPARES && self.clients.iter().all(Option::is_none) {
            let Ok(spare) = self.listener.try_clone() else { return };
            self.spares.push(spare);
        }
    }

    /// More connections may wait, which the kernel does not report again.
    fn report_again(&self, poller: &Poller) {
        let (fd, source) = (self.listener.as_fd(), PollSource::ControlSocket);
        if let Err(error) = poller.report_again(fd, source) {
            log::warn!("cannot hear commands any more: {}", reason(&error));
        }
    }

    fn client(&self, index: u8) -> Option<&CommandClient> {
        self.clients.get(usize::from(index))?.as_ref()
    }

    fn seat_of(&self, client: ClientId) -> Option<u8> {
        (0..SEATS).find(|index| self.client(*index).is_some_and(|it| it.id == client))
    }

    fn count(&self, is_counted: impl Fn(&CommandClient) -> bool) -> usize {
        self.clients.iter().flatten().filter(|client| is_counted(client)).count()
    }

    fn accept(&mut self, poller: &Poller, now: Instant, events: &mut VecDeque<MasterEvent>) {
        for _ in 0..TURN {
            match socket::accept(self.listener.as_fd()) {
                Ok(accepted) => self.admit(accepted.fd, poller, now, events),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if is_out_of_descriptors(&error) && !self.spares.is_empty() => {
                    self.spares.clear();
                }
                Err(error) => {
                    self.paused = Some(now + PAUSE);
                    return log::warn!("cannot hear a command: {}", reason(&error));
                }
            }
        }
        self.report_again(poller);
    }

    /// Admits a connection, or replies why not.
    fn admit(
        &mut self,
        fd: OwnedFd,
        poller: &Poller,
        now: Instant,
        events: &mut VecDeque<MasterEvent>,
    ) {
        let channel = Channel::from(fd);
        if let Err(text) = check(&channel) {
            return send(&channel, &ControlReply::failed(&text), &[]);
        }
        self.make_room(poller, events);
        let Some(index) = (0..SEATS).find(|index| self.client(*index).is_none()) else {
            return send(&channel, &ControlReply::Displaced, &[]);
        };
        let source = PollSource::ControlClient(index);
        if let Err(error) = poller.register(channel.as_fd(), source) {
            return log::warn!("cannot hear a command: {}", reason(&error));
        }
        let id = ClientId(self.next);
        self.next += 1;
        let client = CommandClient { id, channel, until: Some(now + PATIENCE), waits: false };
        self.clients[usize::from(index)] = Some(client);
    }

    /// Displaces the oldest connection on which no request has arrived, if there are many of
    /// them. A request that has arrived, but was not read yet, is read first.
    fn make_room(&mut self, poller: &Poller, events: &mut VecDeque<MasterEvent>) {
        while self.count(|client| client.until.is_some()) >= usize::from(MOST_SILENT) {
            let is_silent = |index: &u8| is_still_silent(self.client(*index));
            let silent = (0..SEATS).filter(is_silent);
            let oldest = silent.min_by_key(|index| self.client(*index).map(|it| it.id));
            let Some(index) = oldest else { return };
            self.read(index, poller, events);
            if is_still_silent(self.client(index)) {
                self.leave(index, &ControlReply::Displaced, poller);
            }
        }
    }

    /// Reads the one request of a client.
    fn read(&mut self, index: u8, poller: &Poller, events: &mut VecDeque<MasterEvent>) {
        let waiting = self.count(|client| client.waits);
        let Some(Some(client)) = self.clients.get_mut(usize::from(index)) else { return };
        let refusal = match client.channel.receive() {
            Ok(Incoming::Nothing) => return,
            Ok(Incoming::Message(_)) if client.until.is_none() => {
                "a connection carries one command only".to_owned()
            }
            Ok(Incoming::Message(request))
                if request.waits() && waiting >= usize::from(MOST_WAITING) =>
            {
                "too many commands wait for the server; try again".to_owned()
            }
            Ok(Incoming::Message(request)) => {
                (client.until, client.waits) = (None, request.waits());
                let pid = seqpacket::peer(client.channel.as_fd()).map_or(0, |peer| peer.pid);
                log::debug!("pid {pid} asks: {request:?}");
                return events.push_back(MasterEvent::Requested { client: client.id, request });
            }
            Ok(Incoming::Closed) => return self.vacate(index, poller),
            Err(error) => format!("the server does not know this command: {}", reason(&error)),
        };
        self.leave(index, &ControlReply::failed(&refusal), poller);
    }

    fn leave(&mut self, index: u8, reply: &ControlReply, poller: &Poller) {
        if let Some(client) = self.client(index) {
            send(&client.channel, reply, &[]);
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

/// The process, or the system, has no more descriptors.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// No request has arrived on a connection.
fn is_still_silent(client: Option<&CommandClient>) -> bool {
    client.is_some_and(|client| client.until.is_some())
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
fn send(
    channel: &Channel<ControlReply, ControlRequest>,
    reply: &ControlReply,
    descriptors: &[BorrowedFd],
) {
    if let Err(error) = channel.send_with(reply, descriptors) {
        log::debug!("cannot answer a command: {}", reason(&error));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::time::Duration;

    use monoceros_wire::control::read_document;

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
            let mut events = VecDeque::new();
            let (control, poller) = (&mut self.control, &mut self.poller);
            for source in poller.wait(Some(Duration::ZERO)) {
                match source {
                    PollSource::ControlSocket => control.accept(poller, self.now, &mut events),
                    PollSource::ControlClient(index) => control.read(index, poller, &mut events),
                    other => panic!("{other:?}"),
                }
            }
            events.into()
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
        let mut events = VecDeque::new();
        bench.control.read(0, &bench.poller, &mut events);
        assert!(events.is_empty());
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
    fn the_oldest_silent_connection_makes_room_for_the_newest() {
        let mut bench = ControlBench::open();
        let mut clients = VecDeque::new();
        for _ in 0..MOST_SILENT {
            clients.push_back(bench.connect());
            bench.turn();
        }
        let newest = bench.connect();
        bench.turn();
        let first = clients.pop_front().unwrap().receive().unwrap();
        assert!(matches!(first, Incoming::Message(ControlReply::Displaced)));
        newest.send(&ControlRequest::Status).unwrap();
        assert_eq!(bench.turn().len(), 1);
        assert!(clients.iter().all(|it| matches!(it.receive().unwrap(), Incoming::Nothing)));
    }

    #[test]
    fn a_connection_whose_request_has_arrived_is_not_displaced() {
        let mut bench = ControlBench::open();
        let clients: Vec<_> = (0..MOST_SILENT).map(|_| (bench.connect(), bench.turn())).collect();
        for (client, _) in &clients {
            client.send(&ControlRequest::Status).unwrap();
        }
        let _newest = bench.connect();
        let mut events = VecDeque::new();
        bench.control.accept(&bench.poller, bench.now, &mut events);
        assert_eq!(events.len(), 1, "one seat is enough");
        assert_eq!(bench.turn().len(), clients.len() - 1);
    }

    #[test]
    fn the_number_of_commands_that_wait_is_limited() {
        let mut bench = ControlBench::open();
        let ask = |bench: &mut ControlBench, request| {
            let client = bench.connect();
            client.send(&request).unwrap();
            bench.turn();
            (bench.turn(), client)
        };
        let waiting: Vec<_> =
            (0..MOST_WAITING).map(|_| ask(&mut bench, ControlRequest::Reload)).collect();
        assert!(waiting.iter().all(|(events, _)| events.len() == 1));
        let (events, refused) = ask(&mut bench, ControlRequest::Upgrade);
        assert!(events.is_empty() && failure(&refused).contains("too many commands wait"));
        let (events, _client) = ask(&mut bench, ControlRequest::Status);
        assert_eq!(events.len(), 1, "it does not wait");
    }

    #[test]
    fn a_reply_may_be_longer_than_a_message() {
        let mut bench = ControlBench::open();
        let client = bench.connect();
        client.send(&ControlRequest::Stacks { slot: None }).unwrap();
        bench.turn();
        let events = bench.turn();
        let [MasterEvent::Requested { client: id, .. }] = events[..] else { panic!("{events:?}") };
        let value = "x".repeat(1 << 20);
        bench.control.reply_with(id, &format!("\"{value}\""), &bench.poller);
        let (received, files) = client.receive_with().unwrap();
        assert!(matches!(received, Incoming::Message(ControlReply::Document)));
        let file = files.into_iter().next().unwrap().into();
        assert_eq!(read_document::<String>(&file).unwrap(), value);
        assert!(matches!(client.receive().unwrap(), Incoming::Closed));
    }
}
