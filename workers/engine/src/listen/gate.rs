//! The accept gate: a worker accepts a connection only when it can serve it.
//!
//! All workers wait for the same listening sockets. A worker whose application threads
//! are all busy removes the sockets from its epoll set, so that the kernel wakes a free
//! worker. Connections wait in the kernel's queue, and not in a worker.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use monoceros_sys::fork::Private;
use monoceros_sys::{epoll, refuse, socket, wait};
use monoceros_wire::listener::{ListenerAddress, ListenerDescription, ProxyProtocol, Scheme};
use socket2::SockRef;

use crate::connection::address::Address;
use crate::connection::shared::Entrance;
use crate::protocol::multiplexer::MultiplexerFactory;
use crate::transport::Transport;
use crate::transport::layer::LayerFactory;

/// A listening socket that the master passed in, and the properties of its connections.
#[derive(Debug)]
pub struct ListenerParts {
    /// The socket.
    pub fd: Private,
    /// The description that the master has sent.
    pub description: ListenerDescription,
    /// The layer between the socket's bytes and the protocol.
    pub layer: Option<LayerFactory>,
    /// The protocol of its connections in place of HTTP/1.
    pub protocol: Option<MultiplexerFactory>,
}

impl ListenerParts {
    /// The listeners of a worker: inherited descriptors, and their descriptions in the
    /// master's first message.
    ///
    /// # Errors
    /// The counts differ; the text has both.
    pub fn pair(
        sockets: Vec<Private>,
        descriptions: Vec<ListenerDescription>,
    ) -> Result<Vec<Self>, String> {
        if sockets.len() != descriptions.len() {
            let names: Vec<_> = descriptions.iter().map(|it| it.name.as_str()).collect();
            return Err(format!(
                "the number of its listening sockets is {}, and the master describes {}: {names:?}",
                sockets.len(),
                names.len()
            ));
        }
        let pairs = sockets.into_iter().zip(descriptions);
        Ok(pairs
            .map(|(fd, description)| Self { fd, description, layer: None, protocol: None })
            .collect())
    }
}

/// A listening socket in the loop.
#[derive(Debug)]
pub(crate) struct Listener {
    fd: Private,
    /// Its position among the listeners that the worker was given.
    position: usize,
    /// The listener's address, used for its connections.
    local: Arc<Address>,
    /// It listens on every address of the machine: the address of our end differs
    /// between connections.
    is_wildcard: bool,
    /// An accepted connection has a request, which can be read at once.
    has_request: bool,
    /// The header before the first byte of a client.
    proxy_protocol: ProxyProtocol,
    scheme: Scheme,
    layer: Option<LayerFactory>,
    protocol: Option<MultiplexerFactory>,
    /// Connections that may still be accepted while draining; `None` while
    /// serving.
    pub(crate) rest: Option<u32>,
}

impl Listener {
    /// Takes a listening socket. The kernel keeps TCP connections without a request
    /// (`TCP_DEFER_ACCEPT`, `tcp(7)`): an accepted connection then has a request, so
    /// that the gate counts exactly, and a connection without one costs a worker
    /// nothing.
    pub(crate) fn adopt((position, parts): (usize, ListenerParts)) -> Self {
        let ListenerParts { fd, description, layer, protocol } = parts;
        let ListenerDescription { address, scheme, options, .. } = description;
        if options.defer_accept {
            // Fails on a unix socket, which has nothing to hold back.
            socket::defer_accept(fd.as_fd(), socket::DEFER_SECONDS).ok();
        }
        // Inherited by the connections; pieces of a response are not held back.
        SockRef::from(&fd).set_tcp_nodelay(true).ok();
        // A layer exchanges messages before the request, and a proxy sends a header.
        let proxy_protocol = options.proxy_protocol;
        let has_request = layer.is_none()
            && proxy_protocol == ProxyProtocol::Off
            && socket::is_deferred(fd.as_fd());
        let (is_wildcard, local) = (address.is_wildcard(), Arc::new(address.into()));
        Self {
            fd,
            position,
            local,
            is_wildcard,
            has_request,
            proxy_protocol,
            scheme,
            layer,
            protocol,
            rest: None,
        }
    }

    /// Its position among the listeners that the worker was given.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// How a connection of this listener begins.
    pub(crate) fn entrance(&self, connection: BorrowedFd) -> Entrance {
        let transport = match &self.layer {
            None => Transport::Plain,
            Some(factory) => Transport::Layered(factory.make()),
        };
        Entrance {
            transport,
            multiplexer: self.protocol.as_ref().map(MultiplexerFactory::make),
            scheme: self.scheme,
            listener: self.position,
            local: self.local_of(connection),
            has_request: self.has_request,
            proxy_protocol: self.proxy_protocol,
        }
    }

    /// Lets the kernel return connections at once from now on: there is not much time
    /// left to accept them.
    pub(crate) fn stop_deferring(&self) {
        // Fails on a unix socket, which has deferred nothing.
        socket::defer_accept(self.fd.as_fd(), 0).ok();
    }

    /// Whether no client can connect any more: its queue comes to an end, and must be
    /// served.
    pub(crate) fn refuses_new(&self) -> bool {
        refuse::refuses_new(self.fd.as_fd())
    }

    /// Draining has begun, or the listeners must be served to their end: what waits now
    /// is accepted.
    pub(crate) fn serve_rest(&mut self) {
        self.rest = Some(self.rest.unwrap_or(0).max(self.waiting()));
    }

    /// No connection waits, and no client can connect any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.refuses_new() && socket::queue_length(self.fd.as_fd()) == Some(0)
    }

    /// Connections that this worker still accepts when it drains. It serves what waits
    /// now, and no more, as the queue of a busy server is never empty. The limit is not
    /// used when no client can connect any more, or when the kernel does not report the
    /// length.
    fn waiting(&self) -> u32 {
        let length = socket::queue_length(self.fd.as_fd());
        length.filter(|_| !self.refuses_new()).unwrap_or(u32::MAX)
    }

    /// How many connections wait to be accepted; 0 or 1 where the kernel does not
    /// report their number.
    pub(crate) fn crowd(&self) -> u32 {
        let length = socket::queue_length(self.fd.as_fd());
        length.unwrap_or_else(|| u32::from(wait::is_readable(self.fd.as_fd())))
    }

    /// The address of our end of a connection.
    fn local_of(&self, connection: BorrowedFd) -> Arc<Address> {
        if !self.is_wildcard {
            return Arc::clone(&self.local);
        }
        match ListenerAddress::of_socket(connection) {
            Ok(address) => Arc::new(address.into()),
            Err(_) => Arc::clone(&self.local),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The facts for the gate's decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Requests that are queued or running, or about to arrive.
    pub(crate) requests: usize,
    /// Connections that are being opened, whose first request may be about to arrive.
    pub(crate) openings: usize,
    /// The limit of requests: as many as there are application threads, and what is
    /// read ahead.
    pub(crate) capacity: usize,
    /// How many requests more may wait for the application, of connections that no other
    /// worker accepts.
    pub(crate) reserve: usize,
    /// Connections that are open.
    pub(crate) connections: usize,
    /// The limit of connections.
    pub(crate) limit: usize,
    /// Connections that could be closed to make room.
    pub(crate) has_idle: bool,
}

impl Load {
    /// Whether a connection would have to wait in this worker.
    pub(crate) fn is_full(self) -> bool {
        self.requests + self.openings >= self.capacity
    }

    /// Whether all threads have a request.
    pub(crate) fn is_busy(self) -> bool {
        self.requests >= self.capacity
    }

    /// Whether there is room for a connection that no other worker accepts. `is_stuck`: no
    /// request ends.
    pub(crate) fn has_reserve(self, is_stuck: bool) -> bool {
        let reserve = if is_stuck { self.reserve } else { 0 };
        self.has_room() && self.requests < self.capacity + reserve
    }

    /// Whether there is room for another connection.
    pub(crate) fn has_room(self) -> bool {
        self.connections < self.limit || self.has_idle
    }

    /// Whether the worker should wait for connections.
    pub(crate) fn admits(self) -> bool {
        self.has_room() && !self.is_full()
    }
}

/// The listeners, whether they are registered in the loop's epoll set or not.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) listeners: Vec<Listener>,
    first_token: usize,
    is_open: bool,
}

impl Gate {
    /// A gate that is shut. Events of the listener number `n` have the token
    /// `first_token + n`.
    pub(crate) fn new(listeners: Vec<Listener>, first_token: usize) -> Self {
        Self { listeners, first_token, is_open: false }
    }

    /// The listener of a token.
    pub(crate) fn index(&self, token: usize) -> Option<usize> {
        token.checked_sub(self.first_token).filter(|index| *index < self.listeners.len())
    }

    /// Whether the worker waits for connections.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Opens or shuts the gate.
    pub(crate) fn set(&mut self, epoll: BorrowedFd, open: bool) {
        if open == self.is_open {
            return;
        }
        self.is_open = open;
        for index in 0..self.listeners.len() {
            if open {
                self.add(epoll, index);
            } else {
                self.remove(epoll, index);
            }
        }
    }

    /// Puts this worker behind the others that wait for a listener, so that the kernel
    /// wakes another one for the next connection.
    pub(crate) fn rotate(&self, epoll: BorrowedFd, index: usize) {
        if self.is_open {
            self.remove(epoll, index);
            self.add(epoll, index);
        }
    }

    /// Closes a listener.
    pub(crate) fn close(&mut self, epoll: BorrowedFd, index: usize) {
        if self.is_open {
            self.remove(epoll, index);
        }
        // Tokens are positions: the last listener takes the place of this one.
        let is_last = index + 1 == self.listeners.len();
        if self.is_open && !is_last {
            self.remove(epoll, self.listeners.len() - 1);
        }
        self.listeners.swap_remove(index);
        if self.is_open && !is_last {
            self.add(epoll, index);
        }
    }

    fn add(&self, epoll: BorrowedFd, index: usize) {
        let token = (self.first_token + index) as u64;
        if let Err(error) = epoll::add_exclusive(epoll, self.listeners[index].as_fd(), token) {
            log::error!("cannot wait for connections: {error}");
        }
    }

    fn remove(&self, epoll: BorrowedFd, index: usize) {
        if let Err(error) = epoll::delete(epoll, self.listeners[index].as_fd()) {
            log::error!("cannot stop waiting for connections: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use monoceros_wire::listener::ListenerOptions;

    const LOAD: Load = Load {
        requests: 0,
        openings: 0,
        capacity: 1,
        reserve: 0,
        connections: 0,
        limit: 10,
        has_idle: false,
    };

    #[test]
    fn a_full_worker_leaves_connections_to_others() {
        assert!(LOAD.admits());
        assert!(!Load { requests: 1, ..LOAD }.admits());
        assert!(Load { requests: 1, capacity: 2, ..LOAD }.admits());
    }

    #[test]
    fn openings_count_only_while_another_worker_accepts_connections() {
        let opening = Load { openings: 1, ..LOAD };
        assert!(!opening.admits() && !opening.is_busy() && opening.has_reserve(false));
        assert!(!Load { connections: 10, ..opening }.has_reserve(false));
    }

    #[test]
    fn requests_beyond_the_threads_are_accepted_up_to_the_reserve_while_none_ends() {
        let busy = Load { requests: 1, reserve: 2, ..LOAD };
        assert!(!busy.admits() && !busy.has_reserve(false) && busy.has_reserve(true));
        assert!(Load { requests: 2, ..busy }.has_reserve(true));
        assert!(!Load { requests: 3, ..busy }.has_reserve(true));
        assert!(!Load { reserve: 0, ..busy }.has_reserve(true));
    }

    #[test]
    fn the_limit_of_connections_holds_unless_one_is_idle() {
        assert!(!Load { connections: 10, ..LOAD }.admits());
        assert!(Load { connections: 10, has_idle: true, ..LOAD }.admits());
    }

    /// A socket that listens at a free port, and the master's description.
    fn bound(defer_accept: bool) -> (Private, ListenerDescription) {
        let bound = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let description = ListenerDescription {
            name: "shop".to_owned(),
            address: ListenerAddress::Internet(bound.local_addr().unwrap()),
            scheme: Scheme::Https,
            alpn: Vec::new(),
            options: ListenerOptions { defer_accept, ..ListenerOptions::default() },
            access: None,
        };
        (Private::from(std::os::fd::OwnedFd::from(bound)), description)
    }

    #[test]
    fn a_listener_is_what_its_description_names() {
        for defers in [true, false] {
            let (fd, description) = bound(defers);
            let address = description.address.clone();
            let parts = ListenerParts::pair(vec![fd], vec![description]).unwrap();
            let listener = Listener::adopt((3, parts.into_iter().next().unwrap()));
            assert_eq!(*listener.local, address.into());
            let entrance = listener.entrance(listener.as_fd());
            assert_eq!((entrance.scheme, entrance.listener), (Scheme::Https, 3));
            assert_eq!((listener.has_request, listener.is_wildcard), (defers, false));
        }
    }

    #[test]
    fn a_connection_to_every_address_knows_its_own() {
        let (fd, mut description) = bound(true);
        description.address = ListenerAddress::Internet(([0, 0, 0, 0], 1).into());
        let parts = ListenerParts { fd, description, layer: None, protocol: None };
        let listener = Listener::adopt((0, parts));
        assert!(listener.is_wildcard);
        let own = ListenerAddress::of_socket(listener.as_fd()).unwrap();
        assert_eq!(*listener.local_of(listener.as_fd()), own.into());
    }

    #[test]
    fn each_socket_needs_a_description() {
        let (fd, description) = bound(true);
        let error = ListenerParts::pair(vec![fd], vec![description.clone(), description]);
        let text = "the number of its listening sockets is 1, and the master describes 2: \
            [\"shop\", \"shop\"]";
        assert_eq!(error.unwrap_err(), text);
    }
}
