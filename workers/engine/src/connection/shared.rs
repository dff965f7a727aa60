//! The part of a connection that both sides of a worker hold: the socket, and what waits to
//! be sent. Reading is always the I/O thread's.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use monoceros_sys::clock::monotonic_ms;
use monoceros_sys::futex;
use monoceros_tls::Session;
use monoceros_wire::listener::{ProxyProtocol, Scheme};

use crate::connection::address::{Address, ProxiedConnection};
use crate::protocol::multiplexer::Multiplexer;
use crate::transport::Transport;
use crate::transport::file_range::{Failure, FileRange};
use crate::transport::outgoing::{Flushed, Outgoing, Stores};
use crate::transport::payload::Payload;
use crate::transport::pledge;
use crate::transport::room::Room;
use crate::transport::socket::Socket;

/// How long no byte has been sent before the kernel is asked how many the peer has
/// acknowledged, in milliseconds.
const QUIET_MS: u64 = 1_000;

/// How a connection begins: a property of its listener.
#[derive(Debug)]
pub(crate) struct Entrance {
    pub(crate) transport: Transport,
    /// Carries several streams; `None` with HTTP/1.
    pub(crate) multiplexer: Option<Box<dyn Multiplexer>>,
    pub(crate) scheme: Scheme,
    /// The position of the listener.
    pub(crate) listener: usize,
    /// The address of our end.
    pub(crate) local: Arc<Address>,
    /// The kernel has held the connection back until it had a request.
    pub(crate) has_request: bool,
    /// The header before the first byte of the client.
    pub(crate) proxy_protocol: ProxyProtocol,
}

/// The part of a connection that application threads and the I/O thread share.
#[derive(Debug)]
pub(crate) struct SharedConnection {
    pub(crate) socket: Socket,
    /// The bytes of the protocol are those of the socket.
    pub(crate) is_plain: bool,
    /// The protocol carries several streams.
    pub(crate) is_multiplexed: bool,
    /// The connection's index in the I/O thread's table.
    pub(crate) token: usize,
    socket_peer: Address,
    /// What the proxy in front has reported about its own connection.
    proxied: OnceLock<Box<ProxiedConnection>>,
    /// Our own end.
    pub(crate) local: Arc<Address>,
    /// The position of the listener.
    pub(crate) listener: usize,
    /// The scheme of the client's URLs.
    pub(crate) scheme: Scheme,
    /// The header before the first byte of the client.
    pub(crate) proxy_protocol: ProxyProtocol,
    /// Closing the last copy of the descriptor resets the connection.
    guarded: AtomicBool,
    /// The last byte of the request was not read, see `pledge`.
    pledged: AtomicBool,
    /// The application has taken over the connection.
    switched: AtomicBool,
    session: OnceLock<Arc<Session>>,
    outlet: Mutex<Outlet>,
    /// Bytes were left to the I/O thread, which has not sent all of them.
    has_left: AtomicBool,
    /// Changes when a thread that waits for room must check again.
    room_bell: AtomicU32,
}

/// What the I/O thread writes for the application side.
#[derive(Debug, Default)]
pub(crate) struct Outlet {
    /// What waits.
    pub(crate) outgoing: Outgoing,
    /// What makes the bytes of several streams.
    pub(crate) multiplexer: Option<Box<dyn Multiplexer>>,
    /// The client cannot be written to any more.
    pub(crate) failed: bool,
    /// When the client last took something, for the write timeout.
    pub(crate) progress_ms: u64,
    /// Bytes that the client had not acknowledged when the kernel was last asked.
    undelivered: usize,
    /// Bytes of the response that the kernel has taken, as far as they are counted.
    pub(crate) handed: u64,
    /// Bytes that had not left the machine when the response was given up.
    untransmitted: u64,
    /// A thread waits for room: waking it costs a system call.
    awaited: bool,
    /// Requests whose application waits for room by an event, and whether it waits until
    /// nothing is left.
    awaiting: Vec<(u64, bool)>,
}

impl SharedConnection {
    pub(crate) fn new(fd: OwnedFd, entrance: Entrance, token: usize, peer: Address) -> Self {
        let Entrance { transport, multiplexer, scheme, listener, local, proxy_protocol, .. } =
            entrance;
        let is_plain = transport.is_plain();
        let outgoing = Outgoing::new(transport);
        Self {
            socket: Socket::new(fd),
            is_plain,
            is_multiplexed: multiplexer.is_some(),
            token,
            socket_peer: peer,
            proxied: OnceLock::new(),
            local,
            listener,
            scheme,
            proxy_protocol,
            guarded: AtomicBool::new(false),
            pledged: AtomicBool::new(false),
            switched: AtomicBool::new(false),
            session: OnceLock::new(),
            has_left: AtomicBool::new(false),
            outlet: Mutex::new(Outlet { outgoing, multiplexer, ..Outlet::default() }),
            room_bell: AtomicU32::new(0),
        }
    }

    /// The address of the client: the one that the PROXY protocol names, otherwise that of
    /// the socket.
    pub(crate) fn peer(&self) -> &Address {
        self.proxied.get().map_or(&self.socket_peer, |proxied| &proxied.client)
    }

    /// The address of the other end of the socket, which may be a proxy's.
    pub(crate) fn socket_peer(&self) -> &Address {
        &self.socket_peer
    }

    /// What a header of the PROXY protocol has reported, if the connection began with one
    /// that has addresses.
    pub(crate) fn proxied(&self) -> Option<&ProxiedConnection> {
        self.proxied.get().map(Box::as_ref)
    }

    /// Notes what a header of the PROXY protocol has reported: once, before the first
    /// request.
    pub(crate) fn set_proxied(&self, proxied: ProxiedConnection) {
        self.proxied.set(Box::new(proxied)).ok();
    }

    /// What waits to be written.
    pub(crate) fn outlet(&self) -> MutexGuard<'_, Outlet> {
        self.outlet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether bytes wait for room in the socket. While an application thread has the lock,
    /// it may be about to leave some: then a message follows.
    pub(crate) fn has_waiting(&self) -> bool {
        match self.try_outlet() {
            Some(outlet) => !outlet.outgoing.is_empty(),
            None => self.has_left.load(Ordering::Acquire),
        }
    }

    /// Whether bytes were left to the I/O thread that have not been sent.
    pub(crate) fn has_left(&self) -> bool {
        self.has_left.load(Ordering::Acquire)
    }

    /// As `outlet`, for the I/O thread while the application may respond: `None` while
    /// an application thread has the lock. The I/O thread tries again in its next turn.
    pub(crate) fn try_outlet(&self) -> Option<MutexGuard<'_, Outlet>> {
        match self.outlet.try_lock() {
            Ok(outlet) => Some(outlet),
            Err(TryLockError::Poisoned(outlet)) => Some(outlet.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// A response begins that ends with the connection. Until it has been sent
    /// completely, every end of the connection must be a reset, also the end of this
    /// process (`SO_LINGER`, `socket(7)`). A unix socket has no such option, but may
    /// have a pledge.
    pub(crate) fn guard(&self) {
        let is_set = self.socket.reset_on_close(true);
        self.guarded.store(is_set, Ordering::Release);
    }

    /// The whole response has been sent: closing delivers what the kernel still has.
    pub(crate) fn unguard(&self) {
        if self.guarded.swap(false, Ordering::AcqRel) {
            self.socket.reset_on_close(false);
        }
        self.redeem();
    }

    /// The last byte of the request was not read.
    pub(crate) fn pledge(&self) {
        self.pledged.store(true, Ordering::Release);
    }

    /// Reads the last byte of the request, if it was not read.
    pub(crate) fn redeem(&self) {
        if self.pledged.swap(false, Ordering::AcqRel) {
            pledge::redeem(&self.socket);
        }
    }

    /// The application takes over the connection, which carries no other request.
    pub(crate) fn switch(&self) {
        self.switched.store(true, Ordering::Release);
    }

    /// Whether the application has taken over the connection.
    pub(crate) fn is_switched(&self) -> bool {
        self.switched.load(Ordering::Acquire)
    }

    /// Breaks the connection for every holder. Where the client notices only a close
    /// with a pledge, the end of the last holder does that.
    pub(crate) fn reset(&self) {
        if !(self.is_guarded() && self.pledged.load(Ordering::Acquire)) {
            self.socket.reset();
        }
    }

    /// Whether the end of the connection must be a reset.
    pub(crate) fn is_guarded(&self) -> bool {
        self.guarded.load(Ordering::Acquire)
    }

    /// Continues opening the connection. Returns whether that is complete.
    ///
    /// # Errors
    /// The reason why the connection cannot continue.
    pub(crate) fn open(&self) -> io::Result<bool> {
        let mut outlet = self.outlet();
        let is_open = outlet.outgoing.transport.open(&self.socket)?;
        if let Some(session) = outlet.outgoing.transport.session().filter(|_| is_open) {
            self.session.get_or_init(|| Arc::clone(session));
        }
        Ok(is_open)
    }

    /// Whether a client whose first byte is this one uses the layer.
    pub(crate) fn layer_admits(&self, first: u8) -> bool {
        self.outlet().outgoing.transport.admits(first)
    }

    /// Removes the layer, which the client does not use: it gets an error in plain text.
    pub(crate) fn remove_layer(&self) {
        self.outlet().outgoing.transport = Transport::Plain;
    }

    /// Facts of the connection's encryption, when it is open and has one.
    pub(crate) fn session(&self) -> Option<&Arc<Session>> {
        self.session.get()
    }

    /// Reads what the client has sent. Returns how many bytes, and whether more may be
    /// available without an event. With HTTP/1 no application thread has the connection
    /// then, so the lock is free.
    ///
    /// # Errors
    /// `WouldBlock`, or the reason why the connection cannot continue.
    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<(usize, bool)> {
        if self.is_plain {
            let count = self.socket.receive(into)?;
            return Ok((count, count == into.len()));
        }
        self.outlet().outgoing.transport.read(&self.socket, into)
    }

    /// Ends our side: the client gets an end behind what was sent.
    ///
    /// # Errors
    /// Those of `shutdown(2)` and of the layer; `WouldBlock` while the layer has to
    /// announce the end first.
    pub(crate) fn end_writing(&self) -> io::Result<()> {
        if self.is_plain {
            return self.socket.end_writing();
        }
        self.outlet().outgoing.transport.end_writing(&self.socket)
    }

    /// Announces the end of our side to a client that has got everything, as far as the
    /// socket has room.
    pub(crate) fn announce_end(&self) {
        if self.is_plain {
            return;
        }
        if let Some(mut outlet) = self.try_outlet()
            && !outlet.failed
            && outlet.outgoing.is_empty()
        {
            // The connection is closed in any case.
            outlet.outgoing.transport.announce_end(&self.socket).ok();
        }
    }

    /// Adds bytes to the waiting ones; `sent` of them were sent already. The client's
    /// time to take them begins now, if no byte waited before.
    pub(crate) fn leave(&self, payload: Box<dyn Payload>, sent: usize, stores: Stores) {
        let spill = {
            let mut outlet = self.outlet();
            outlet.begin();
            if outlet.failed {
                return;
            }
            self.has_left.store(true, Ordering::Release);
            outlet.outgoing.push_bytes(payload, sent, stores)
        };
        if let Some(spill) = spill {
            let written = spill.write();
            let mut outlet = self.outlet();
            if !outlet.failed {
                outlet.outgoing.push_spilled(spill, written, stores);
            }
        }
    }

    /// Gives bytes to the layer while none waits, and has it send what it holds: the bytes
    /// are neither copied nor kept, except those for which the socket has no room. Returns
    /// how many the layer has taken, and whether it has sent them all.
    ///
    /// # Errors
    /// Why the connection cannot continue.
    pub(crate) fn send_through_layer(&self, parts: &[&[u8]]) -> io::Result<(usize, bool)> {
        let mut outlet = self.outlet();
        if outlet.failed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !outlet.outgoing.is_empty() {
            return Ok((0, false));
        }
        outlet.begin();
        let sent = outlet.outgoing.write_through(parts, &self.socket);
        match sent {
            Ok((_, true)) => {}
            Ok((_, false)) => self.has_left.store(true, Ordering::Release),
            Err(_) => outlet.fail(&self.socket),
        }
        sent
    }

    /// Whether an application thread may write to the socket itself while no byte
    /// waits: the connection has one stream, and the protocol's bytes are sent
    /// unchanged.
    pub(crate) fn sends_directly(&self) -> bool {
        self.is_plain && !self.is_multiplexed
    }

    /// Whether an application thread gives the bytes of a response to a layer.
    pub(crate) fn has_layer(&self) -> bool {
        !self.is_plain && !self.is_multiplexed
    }

    /// Has `make` append bytes of the protocol, and sends them as far as the socket has
    /// room; the rest waits. Both happen under the lock, so the bytes are sent in the
    /// order in which they are made. Returns whether some wait; `None` when nothing can
    /// be sent any more.
    pub(crate) fn send_on_stream(
        &self,
        stores: Stores,
        make: impl FnOnce(&mut dyn Multiplexer, &mut Vec<u8>),
    ) -> Option<bool> {
        let mut outlet = self.outlet();
        outlet.begin();
        if outlet.failed {
            return None;
        }
        let mut bytes = Vec::new();
        make(outlet.multiplexer.as_deref_mut()?, &mut bytes);
        if let Some(spill) = outlet.outgoing.push_bytes(Box::new(bytes), 0, stores) {
            let written = spill.write();
            outlet.outgoing.push_spilled(spill, written, stores);
        }
        let flushed = self.flush_outlet(&mut outlet);
        let waits = !outlet.outgoing.is_empty();
        self.wake(outlet);
        flushed.ok().map(|_| waits)
    }

    /// As above, with a range of a file.
    pub(crate) fn leave_file(&self, range: FileRange) {
        let mut outlet = self.outlet();
        outlet.begin();
        if !outlet.failed {
            self.has_left.store(true, Ordering::Release);
            outlet.outgoing.push_file(range);
        }
    }

    /// Checks whether the client has read some of what the kernel has. A socket becomes
    /// writable late, when a third of its buffer is free.
    pub(crate) fn note_progress(&self, now_ms: u64) {
        let Some(mut outlet) = self.try_outlet() else { return };
        let is_quiet = now_ms.saturating_sub(outlet.progress_ms) > QUIET_MS;
        if !outlet.outgoing.is_empty() && is_quiet {
            let undelivered = self.socket.undelivered();
            if undelivered < outlet.undelivered {
                outlet.progress_ms = now_ms;
            }
            outlet.undelivered = undelivered;
        }
    }

    /// Writes what waits, as far as the socket has room, and wakes threads that wait
    /// for room.
    ///
    /// # Errors
    /// Those of writing; then nothing waits any more.
    pub(crate) fn flush(&self) -> Result<Flushed, Failure> {
        let mut outlet = self.outlet();
        let flushed = self.flush_outlet(&mut outlet);
        self.wake(outlet);
        flushed
    }

    /// As `flush`, for the I/O thread; `None` while an application thread has the lock.
    pub(crate) fn try_flush(&self) -> Option<Result<Flushed, Failure>> {
        let mut outlet = self.try_outlet()?;
        let flushed = self.flush_outlet(&mut outlet);
        self.wake(outlet);
        Some(flushed)
    }

    fn flush_outlet(&self, outlet: &mut Outlet) -> Result<Flushed, Failure> {
        let before = outlet.outgoing.waiting();
        let flushed = outlet.outgoing.flush(&self.socket);
        outlet.handed += before - outlet.outgoing.waiting();
        if let Ok(Flushed::All) = flushed {
            self.has_left.store(false, Ordering::Release);
        }
        match &flushed {
            Ok(Flushed::Blocked(0) | Flushed::Cold(0)) => {}
            Ok(_) => outlet.progress_ms = monotonic_ms(),
            Err(_) => outlet.fail(&self.socket),
        }
        flushed
    }

    /// Gives up writing, and wakes threads that wait for room.
    pub(crate) fn fail(&self) {
        let mut outlet = self.outlet();
        outlet.fail(&self.socket);
        self.wake(outlet);
    }

    /// Releases the outlet, and wakes the threads that wait for room.
    pub(crate) fn wake(&self, mut outlet: MutexGuard<Outlet>) {
        let is_awaited = std::mem::take(&mut outlet.awaited);
        drop(outlet);
        if is_awaited {
            self.room_bell.fetch_add(1, Ordering::SeqCst);
            futex::wake(&self.room_bell, i32::MAX);
        }
    }

    /// Has [`SharedConnection::take_awaiting`] return a request when there is room for
    /// more of its response. `false` if there is some, or nothing can be sent any more.
    /// With `all`, there is room only when no byte waits.
    pub(crate) fn await_room(&self, number: u64, room: &Room, all: bool) -> bool {
        let mut outlet = self.outlet();
        let waits = !outlet.failed && !outlet.has_room(room, all);
        if waits {
            outlet.awaiting.push((number, all));
        }
        waits
    }

    /// The requests whose application waits for room, where there is some now.
    pub(crate) fn take_awaiting(&self, room: &Room) -> Vec<u64> {
        let mut outlet = self.outlet();
        let mut awaiting = std::mem::take(&mut outlet.awaiting);
        let is_over = outlet.failed;
        let goes_on = awaiting.extract_if(.., |(_, all)| is_over || outlet.has_room(room, *all));
        let found = goes_on.map(|(number, _)| number).collect();
        outlet.awaiting = awaiting;
        found
    }

    /// Waits until there is room for more, or the client has gone, or the time is over.
    /// In the last case the caller must call again: the I/O thread ends a wait without
    /// progress by [`SharedConnection::fail`]. With `all`, there is room only when no
    /// byte waits.
    pub(crate) fn wait_for_room(&self, room: &Room, all: bool, limit: Duration) -> Waited {
        let begun = Instant::now();
        loop {
            let bell = self.room_bell.load(Ordering::SeqCst);
            let mut outlet = self.outlet();
            if outlet.failed {
                return Waited::ClientDisconnected;
            } else if outlet.has_room(room, all) {
                return Waited::Room;
            }
            let left = limit.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Waited::None;
            }
            outlet.awaited = true;
            drop(outlet);
            futex::wait(&self.room_bell, bell, Some(left));
        }
    }
}

/// The result of a wait for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// There is room.
    Room,
    /// There is no room yet.
    None,
    /// The client has gone.
    ClientDisconnected,
}

impl Outlet {
    /// Whether there is room for more; with `all`, whether no byte waits.
    fn has_room(&self, room: &Room, all: bool) -> bool {
        if all { self.outgoing.is_empty() } else { self.outgoing.has_room(room) }
    }

    /// Nothing can be written any more: drops the waiting bytes.
    pub(crate) fn fail(&mut self, socket: &Socket) {
        if !self.failed {
            self.failed = true;
            self.untransmitted = socket.untransmitted() as u64;
            self.outgoing.clear();
        }
    }

    /// Bytes are about to wait.
    fn begin(&mut self) {
        if self.outgoing.is_empty() {
            self.progress_ms = monotonic_ms();
            self.undelivered = usize::MAX;
        }
    }

    /// Bytes of the response that the client can have got.
    pub(crate) fn sent(&self) -> u64 {
        self.handed.saturating_sub(self.untransmitted)
    }
}

impl AsFd for SharedConnection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A connection at a unix socket, for tests, and its client.
#[cfg(test)]
pub(crate) fn test_pair() -> (SharedConnection, std::os::unix::net::UnixStream) {
    let (one, two) = std::os::unix::net::UnixStream::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    let nowhere = Address::Unix(monoceros_wire::listener::UnixAddress::Unnamed);
    let entrance = Entrance {
        transport: Transport::Plain,
        multiplexer: None,
        scheme: Scheme::Http,
        listener: 0,
        local: Arc::new(nowhere.clone()),
        has_request: true,
        proxy_protocol: ProxyProtocol::Off,
    };
    (SharedConnection::new(one.into(), entrance, 0, nowhere), two)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_waits_for_room_wakes_when_the_client_has_gone() {
        let (link, client) = test_pair();
        let spools = crate::spool::test_spools(std::env::temp_dir());
        let room = Arc::new(Room::new(64 << 20, 0));
        let stores = Stores { spools: &spools, room: &room };
        link.leave(Box::new(vec![0; 8 << 20]), 0, stores);
        link.flush().unwrap();
        assert_eq!(link.wait_for_room(&room, false, Duration::ZERO), Waited::None);
        drop(client);
        link.flush().unwrap_err();
        assert_eq!(link.wait_for_room(&room, false, Duration::ZERO), Waited::ClientDisconnected);
    }
}
