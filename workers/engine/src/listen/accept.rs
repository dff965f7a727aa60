//! The I/O thread's way of taking new connections.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use monoceros_sys::socket::{self, Accepted};
use monoceros_sys::{clock, limit};

use crate::connection::Connection;
use crate::connection::shared::{Address, SharedConnection};
use crate::event_loop::{EventLoop, LAST_CALL_MS};
use crate::transport::Entrance;

/// Connections that a worker alone takes at a time, so that those it has are
/// served in between.
const BATCH: usize = 32;

impl EventLoop {
    /// Takes connections from a listener that has some. A worker that was woken
    /// takes one in any case: the kernel has woken no other worker for it.
    pub(crate) fn accept(&mut self, index: usize) {
        let is_shared = self.shared.is_shared();
        let mut must = self.slept;
        for _ in 0..if is_shared { 1 } else { BATCH } {
            if !must && self.load().is_full() || !self.accept_one(index, false) {
                break;
            }
            must = false;
        }
        if is_shared && self.life.is_serving() {
            self.gate.rotate(self.poll.registry().as_fd(), index);
        }
    }

    /// Takes one connection; whether there may be another. One that `is_late` may
    /// have waited for long: its place in the queue is by when it arrived.
    pub(crate) fn accept_one(&mut self, index: usize, is_late: bool) -> bool {
        if self.connections.len() >= self.shared.options.connections && !self.make_room() {
            return false;
        }
        let Some(listener) = self.gate.listeners.get(index) else { return false };
        match socket::accept(listener.as_fd()) {
            Ok(accepted) => {
                let local = listener.local_of(accepted.fd.as_fd());
                let (entrance, has_request) = (listener.entrance(), listener.has_request);
                let waited_us = if is_late { self.take_in_turn(accepted.fd.as_fd()) } else { 0 };
                self.adopt(accepted, entrance, local, has_request, waited_us);
                self.count_down(index)
            }
            Err(error) => self.cannot_accept(index, &error),
        }
    }

    fn cannot_accept(&mut self, index: usize, error: &io::Error) -> bool {
        match error.raw_os_error() {
            // accept(2): errors of the network that belong to a connection
            // which has gone already.
            Some(
                libc::ECONNABORTED
                | libc::EINTR
                | libc::EPERM
                | libc::EPROTO
                | libc::ENETDOWN
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::ENONET
                | libc::EOPNOTSUPP
                | libc::ENOPROTOOPT,
            ) => true,
            Some(libc::EAGAIN) => {
                self.end_queue(index);
                false
            }
            // A program was just being started, which lowers the limit.
            Some(libc::EMFILE) if limit::wait_until_raised() => true,
            // No descriptors or no memory: a connection has to be closed.
            _ if self.free_descriptor() => true,
            _ => {
                self.pause(error);
                false
            }
        }
    }

    /// Notes that a connection is taken in turn; for how long its client has been
    /// waiting for a response, in microseconds, as far as the kernel knows.
    fn take_in_turn(&mut self, connection: BorrowedFd) -> u64 {
        let waited_us = u64::from(socket::silence_ms(connection).unwrap_or(0)) * 1_000;
        let now_us = clock::monotonic_us();
        self.turns.take(now_us.saturating_sub(waited_us), now_us);
        waited_us
    }

    /// Makes a connection part of the loop. Its client has been waiting for an
    /// response for `waited_us`.
    fn adopt(
        &mut self,
        accepted: Accepted,
        entrance: Entrance,
        local: Arc<Address>,
        has_request: bool,
        waited_us: u64,
    ) {
        let peer = match accepted.peer {
            Some(address) => Address::internet(address),
            None => Address::Unix(<_>::default()),
        };
        let entry = self.connections.vacant_entry();
        let token = entry.key();
        let is_plain = entrance.transport.is_plain();
        let link = Arc::new(SharedConnection::new(accepted.fd, entrance, token, peer, local));
        entry.insert(Connection::new(link, waited_us));
        if self.connections.len() >= self.shared.options.connections {
            self.note_pressure();
        }
        if !is_plain {
            self.open(token);
        } else if has_request {
            // Its request is there: it may be answered and over before the loop
            // would have heard of it.
            self.read(token, false);
        } else if self.register(token).is_err() {
            self.close(token);
        } else {
            self.expected.expect(token, clock::monotonic_us());
        }
    }

    /// Counts a connection that was taken while draining; whether there may be
    /// another.
    fn count_down(&mut self, index: usize) -> bool {
        let Some(listener) = self.gate.listeners.get_mut(index) else { return false };
        if listener.rest.is_some() && listener.refuses_new() {
            // Where one was late, others may be; none of them is new.
            self.last_call_ms = clock::monotonic_ms() + LAST_CALL_MS;
        }
        let Some(rest) = &mut listener.rest else { return true };
        *rest = rest.saturating_sub(1);
        if *rest == 0 {
            self.end_queue(index);
        }
        index < self.gate.listeners.len()
    }

    /// The queue is empty, or what waited in it is served: a draining worker
    /// lets its listener go, unless clients that have connected may still be
    /// about to send.
    pub(crate) fn end_queue(&mut self, index: usize) {
        if clock::monotonic_ms() < self.last_call_ms {
            return;
        }
        if self.gate.listeners.get(index).is_some_and(|listener| listener.rest.is_some()) {
            self.close_listener(index);
        }
    }
}
