//! The connections of a worker. Owns them, and the work on them of this turn of the
//! loop or the next. Only the thread that runs the loop has it; the loop and the
//! listeners call it.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use monoceros_sys::clock;
use monoceros_sys::fork::Mark;
use monoceros_sys::socket::Accepted;
use monoceros_wire::scoreboard::GivenUp;
use slab::Slab;

use crate::connection::address::Address;
use crate::connection::census::Census;
use crate::connection::deadlines::{self, Idle, Verdict};
use crate::connection::pressure::Pressure;
use crate::connection::shared::{Entrance, SharedConnection};
use crate::connection::shortage::Shortage;
use crate::connection::turn_work::{TurnWork, Unfinished};
use crate::connection::{Connection, Phase};
use crate::handoff::mailbox::Messages;
use crate::listen::expected::{Expected, ExpectedCount};
use crate::shared::Shared;
use crate::stream::request::QueuedRequest;

/// How often bytes are received from a connection before other connections are handled.
pub(super) const SHARE: usize = 4;

/// The connections.
pub(crate) struct Connections {
    pub(super) shared: Arc<Shared>,
    registry: Registry,
    _mark: Mark,
    pub(super) slab: Slab<Connection>,
    pub(super) work: TurnWork,
    messages: Messages,
    /// Connections whose first request is expected now.
    pub(super) expected: Expected,
    /// The state of having too many connections.
    pub(super) pressure: Pressure,
    /// Whether slow clients take all the room.
    pub(super) shortage: Shortage,
    census: Census,
}

impl Connections {
    /// No connections yet; `registry` is that of the loop.
    ///
    /// # Errors
    /// Those of `fcntl(2)`: no descriptor is left.
    pub(crate) fn new(shared: Arc<Shared>, registry: &Registry) -> io::Result<Self> {
        let registry = registry.try_clone()?;
        Ok(Self {
            work: TurnWork::new(Arc::clone(&shared)),
            shared,
            _mark: Mark::new(registry.as_fd()),
            registry,
            slab: Slab::new(),
            messages: Messages::default(),
            expected: Expected::default(),
            pressure: Pressure::default(),
            shortage: Shortage::default(),
            census: Census::default(),
        })
    }

    /// Makes a connection part of the loop. Its client has been waiting for a response for
    /// `waited_us`.
    pub(crate) fn adopt(&mut self, accepted: Accepted, entrance: Entrance, waited_us: u64) {
        let peer = accepted.peer.map_or_else(Address::unnamed, Address::internet);
        let is_trusted = self.shared.options.forwarding.trusts(&peer);
        let entry = self.slab.vacant_entry();
        let token = entry.key();
        let has_request = entrance.has_request;
        let link = Arc::new(SharedConnection::new(accepted.fd, entrance, token, peer));
        let connection = entry.insert(Connection::new(link, is_trusted, waited_us));
        if !connection.awaits_proxy_header() {
            connection.begin_count(&self.shared);
        }
        let opens = matches!(connection.phase, Phase::Opening(_));
        if self.slab.len() >= self.shared.options.connections {
            self.note_pressure();
        }
        if opens {
            self.expected.expect_opening(token, clock::monotonic_us());
            self.open(token);
        } else if has_request {
            // The request may have arrived before the loop gets an event.
            self.read(token, false);
        } else if self.register(token).is_err() {
            self.close(token);
        } else {
            self.expected.expect(token, clock::monotonic_us());
        }
    }

    /// The number of connections.
    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether there is no connection.
    pub(crate) fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// The requests that have become complete in this turn, in the order of arrival.
    pub(crate) fn jobs(&mut self) -> &mut Vec<QueuedRequest> {
        &mut self.work.jobs
    }

    /// Connections whose first request is about to arrive.
    pub(crate) fn count_expected(&mut self, now_us: impl FnOnce() -> u64) -> ExpectedCount {
        let slab = &self.slab;
        self.expected.count(now_us, |token| {
            slab.get(token).is_some_and(|it| {
                matches!(it.phase, Phase::Idle { used: false } | Phase::Opening(_))
            })
        })
    }

    /// Whether the first request of a connection is about to arrive, or was a moment
    /// ago.
    pub(crate) fn has_expected(&self) -> bool {
        self.expected.has_fresh()
    }

    /// Whether connections have work for the next turn.
    pub(crate) fn has_unfinished(&self) -> bool {
        let is_contended = |it: &Unfinished| matches!(it, Unfinished::Contended { .. });
        !self.work.unfinished.iter().all(is_contended)
    }

    /// Whether connections wait for an application thread that writes to them.
    pub(crate) fn has_contended(&self) -> bool {
        !self.work.unfinished.is_empty()
    }

    /// Continues with the connections that had used their share of a turn.
    pub(crate) fn go_on(&mut self) {
        for unfinished in std::mem::take(&mut self.work.unfinished) {
            match unfinished {
                Unfinished::Reading { token, to_end } => self.read(token, to_end),
                Unfinished::Input { token } => self.go_on_reading(token),
                Unfinished::Passing { token } => self.go_on_passing(token),
                Unfinished::Writing { token } | Unfinished::Contended { token } => {
                    self.write(token)
                }
            }
        }
    }

    /// Takes what the application side has returned by message, and what background threads
    /// have done.
    pub(crate) fn take_returned(&mut self) {
        let mut messages = std::mem::take(&mut self.messages);
        self.shared.handoff.mailbox.take(&mut messages);
        for stream in messages.returned.drain(..) {
            self.take_back(&stream);
        }
        for (ticket, result) in messages.finished.drain(..) {
            self.take_result(ticket, result);
        }
        self.messages = messages;
    }

    /// Checks the deadlines of all connections, as of `read_ms`.
    pub(crate) fn judge(&mut self, idle: Idle, read_ms: u64) {
        for token in self.tokens() {
            self.judge_one(token, idle, read_ms);
        }
    }

    fn judge_one(&mut self, token: usize, idle: Idle, now_ms: u64) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        connection.notice_return();
        match connection.phase {
            Phase::Carrying => {
                connection.link.note_progress(now_ms);
                self.judge_streams(token, now_ms);
            }
            Phase::Lent | Phase::Writing(_) => {
                connection.link.note_progress(now_ms);
                if connection.stream.inbound.is_paused() {
                    // The client is not slow while nothing is read.
                    connection.http1.measure(now_ms);
                }
                if matches!(connection.phase, Phase::Lent) && connection.stream.has_left() {
                    self.shared.board.show_left(connection.lent.number, now_ms);
                }
            }
            Phase::Idle { used: true } => connection.note_delivery(&self.shared.options, now_ms),
            _ => {}
        }
        let Some(connection) = self.slab.get_mut(token) else { return };
        match deadlines::judge(connection, &self.shared.options, idle, now_ms) {
            Verdict::Keep => {}
            Verdict::Measure => connection.http1.measure(now_ms),
            Verdict::Close => self.close(token),
            Verdict::GiveUpOpening => self.time_out_opening(token),
            Verdict::GiveUpBody => connection.give_up_body(&mut self.work),
            Verdict::GiveUp => {
                let why = "its client has taken nothing for --write-timeout";
                self.give_up_response(token, GivenUp::Untaken, why);
            }
            Verdict::Refuse(reason) => self.time_out(token, reason),
            Verdict::GiveUpDecision => self.give_up_decision(token),
            Verdict::GiveUpFile => {
                let why = "its file could not be read within --write-timeout";
                self.give_up_response(token, GivenUp::Unreadable, why);
            }
        }
    }

    /// Writes how many connections are open, and counts the bytes that have passed.
    pub(crate) fn show_census(&mut self) {
        let board = &self.shared.board;
        board.show_connections(self.slab.len() as u64);
        self.census.show(self.slab.iter_mut().map(|(_, connection)| connection), board);
    }

    /// The tokens of all connections, while some may be closed.
    pub(super) fn tokens(&self) -> Vec<usize> {
        self.slab.iter().map(|(token, _)| token).collect()
    }

    /// Registers a connection in the loop's epoll set.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`.
    pub(super) fn register(&mut self, token: usize) -> io::Result<()> {
        let Some(connection) = self.slab.get_mut(token) else { return Ok(()) };
        if !connection.registered {
            let fd = connection.link.as_fd().as_raw_fd();
            let both = Interest::READABLE | Interest::WRITABLE;
            self.registry.register(&mut SourceFd(&fd), Token(token), both)?;
            connection.registered = true;
        }
        Ok(())
    }

    /// Ends the events of a connection that the application has taken over.
    pub(super) fn unwatch(&mut self, token: usize) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        if std::mem::take(&mut connection.registered) {
            let fd = connection.link.as_fd().as_raw_fd();
            // It is registered, so this does not fail.
            self.registry.deregister(&mut SourceFd(&fd)).ok();
        }
    }

    /// Ends the events of a connection that is closed, if its descriptor stays open: the
    /// application, or a process that it has forked, may hold it. The kernel would report
    /// them under a token that the next connection gets.
    pub(super) fn unregister(&self, connection: &Connection) {
        // The connection itself holds its link twice: its stream does as well.
        let is_held =
            Arc::strong_count(&connection.stream) > 1 || Arc::strong_count(&connection.link) > 2;
        if connection.registered && (is_held || self.shared.has_forked()) {
            let fd = connection.link.as_fd().as_raw_fd();
            // Fails only where the descriptor is not registered.
            self.registry.deregister(&mut SourceFd(&fd)).ok();
        }
    }
}
