//! Taking new connections from the listeners.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use monoceros_sys::{clock, limit, socket};

use crate::connection::table::Connections;
use crate::listen::listening::{LAST_CALL_MS, Listening};

/// Connections that a single worker accepts at a time, so that its other connections
/// are served in between.
const BATCH: usize = 32;

impl Listening {
    /// Accepts connections from a listener that has some. A worker that was woken
    /// accepts one in any case: the kernel has woken no other worker for that
    /// connection.
    pub(crate) fn accept(&mut self, connections: &mut Connections, index: usize) {
        let is_shared = self.shared.is_shared();
        let mut must = self.slept;
        for _ in 0..if is_shared { 1 } else { BATCH } {
            if !must && self.load(connections).is_full()
                || !self.accept_one(connections, index, false)
            {
                break;
            }
            must = false;
        }
        if is_shared && self.is_serving {
            self.rotate(index);
        }
    }

    /// Accepts one connection. Returns whether there may be another. One that `is_late`
    /// may have waited for long: the time at which it arrived decides its place in the
    /// queue.
    pub(super) fn accept_one(
        &mut self,
        connections: &mut Connections,
        index: usize,
        is_late: bool,
    ) -> bool {
        let is_crowded = connections.len() >= self.shared.options.connections;
        if is_crowded && !connections.make_room() {
            return false;
        }
        let Some(listener) = self.gate.listeners.get(index) else { return false };
        match socket::accept(listener.as_fd()) {
            Ok(accepted) => {
                let entrance = listener.entrance(accepted.fd.as_fd());
                let waited_us = if is_late { self.take_in_turn(accepted.fd.as_fd()) } else { 0 };
                connections.adopt(accepted, entrance, waited_us);
                self.count_down(index)
            }
            Err(error) => self.cannot_accept(connections, index, &error),
        }
    }

    fn cannot_accept(
        &mut self,
        connections: &mut Connections,
        index: usize,
        error: &io::Error,
    ) -> bool {
        match error.raw_os_error() {
            // accept(2): errors of the network that belong to a connection which has
            // ended already.
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
            // A program was being started, which lowers the limit for a moment.
            Some(libc::EMFILE) if limit::wait_until_raised() => true,
            // No descriptor or no memory is left: a connection has to be closed.
            _ if connections.free_descriptor() => true,
            _ => {
                self.pause(error);
                false
            }
        }
    }

    /// Notes that a connection is taken in turn. Returns how long its client has been
    /// waiting for a response, in microseconds, as far as the kernel reports it.
    fn take_in_turn(&mut self, connection: BorrowedFd) -> u64 {
        let waited_us = u64::from(socket::silence_ms(connection).unwrap_or(0)) * 1_000;
        let now_us = clock::monotonic_us();
        self.turns.take(now_us.saturating_sub(waited_us), now_us);
        waited_us
    }

    /// Counts a connection that was accepted while draining. Returns whether there may
    /// be another.
    fn count_down(&mut self, index: usize) -> bool {
        let Some(listener) = self.gate.listeners.get_mut(index) else { return false };
        if listener.rest.is_some() && listener.refuses_new() {
            // After a late one, others may be late; none of them is new.
            self.last_call_ms = clock::monotonic_ms() + LAST_CALL_MS;
        }
        let Some(rest) = &mut listener.rest else { return true };
        *rest = rest.saturating_sub(1);
        if *rest == 0 {
            self.end_queue(index);
        }
        index < self.gate.listeners.len()
    }

    /// The queue is empty, or what waited there is served: a draining worker closes its
    /// listener, unless clients that have connected may still be about to send.
    pub(super) fn end_queue(&mut self, index: usize) {
        if clock::monotonic_ms() < self.last_call_ms {
            return;
        }
        if self.gate.listeners.get(index).is_some_and(|listener| listener.rest.is_some()) {
            self.close(index);
        }
    }
}
