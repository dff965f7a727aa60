//! Taking new connections from the listeners.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use monoceros_sys::socket::Accepted;
use monoceros_sys::{clock, limit, socket, wait};
use monoceros_wire::scoreboard::GivenUp;

use crate::connection::address::Address;
use crate::connection::table::Connections;
use crate::listen::admission::AcceptedPeer;
use crate::listen::listening::{LAST_CALL_MS, Listening};

/// Connections that a single worker accepts at a time, so that its other connections
/// are served in between.
const BATCH: usize = 32;

/// The longest tick of common kernels (`CONFIG_HZ`), in microseconds.
const TICK_US: u64 = 4_000;

/// How many connections are closed at accept before one that is served, or none, ends the
/// attempt: clients that are denied take no turns of other clients.
const DENIED_BATCH: usize = 32;

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
        if is_crowded && !self.can_have_room(connections) {
            return false;
        }
        for _ in 0..DENIED_BATCH {
            let Some(listener) = self.gate.listeners.get(index) else { return false };
            let accepted = match socket::accept(listener.as_fd()) {
                Ok(accepted) => accepted,
                Err(error) => return self.cannot_accept(connections, index, &error),
            };
            self.shared.board.count_accepted(listener.position());
            if self.denies(listener.position(), &accepted) {
                drop(accepted);
                if !self.count_down(index) {
                    return false;
                }
                continue;
            }
            let entrance = listener.entrance(accepted.fd.as_fd());
            let waited_us = self.note_wait(accepted.fd.as_fd(), is_late, entrance.has_request);
            if is_crowded && self.shared.options.accept.is_some() {
                connections.make_room();
            }
            connections.adopt(accepted, entrance, waited_us);
            return self.count_down(index);
        }
        true
    }

    /// Makes room for a connection where there are too many. Where connections are closed at
    /// accept, only checks whether there can be some: a client that is denied must not displace
    /// another one.
    fn can_have_room(&self, connections: &mut Connections) -> bool {
        match self.shared.options.accept {
            None => connections.make_room(),
            Some(_) => connections.can_make_room(),
        }
    }

    /// Whether a connection of the listener at this position is closed at accept, which is
    /// counted and logged.
    fn denies(&self, listener: usize, accepted: &Accepted) -> bool {
        let Some(decision) = &self.shared.options.accept else { return false };
        let ip = accepted.peer.map(|address| address.ip().to_canonical());
        if decision.admits(&AcceptedPeer { ip, listener }) {
            return false;
        }
        let peer = accepted.peer.map_or_else(Address::unnamed, Address::internet);
        self.shared.give_up(
            GivenUp::Denied,
            None,
            format_args!("closed {peer}: the access rules deny its address"),
        );
        true
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

    /// Notes that a connection is taken in turn, if it `is_late`. Returns how long its client has
    /// been waiting for a response, in microseconds, as far as the kernel reports it: it counts in
    /// ticks, so that a wait of one tick may be none.
    fn note_wait(&mut self, connection: BorrowedFd, is_late: bool, has_request: bool) -> u64 {
        let is_limited = self.shared.handoff.limits_waits();
        let silent_us = u64::from(socket::silence_ms(connection).unwrap_or(0)) * 1_000;
        if is_late {
            let now_us = clock::monotonic_us();
            self.turns.take(now_us.saturating_sub(silent_us), now_us);
        }
        if !is_late && !is_limited && silent_us <= TICK_US {
            return 0;
        }
        // A client that has sent nothing does not wait.
        let is_taken_in_turn = is_late && !is_limited;
        let waits = is_taken_in_turn || has_request || wait::is_readable(connection);
        if waits { silent_us } else { 0 }
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
