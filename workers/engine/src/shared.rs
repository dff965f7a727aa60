//! The data that every part of a worker's engine can reach.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::{fmt, io};

use monoceros_sys::{fork, reason};
use monoceros_wire::listener::Scheme;
use monoceros_wire::scoreboard::{GivenUp, Scoreboard};

use crate::connection::address::Address;
use crate::handoff::Handoff;
use crate::options::Options;
use crate::record::access::AccessLog;
use crate::record::figures::RequestFigures;
use crate::record::giving_up::LossLog;
use crate::record::request_facts::RequestFacts;
use crate::spool::Spools;
use crate::stream::request_ids::RequestIds;
use crate::stream::response::OwnFields;
use crate::transport::outgoing::Stores;
use crate::transport::room::Room;

/// The parts that both sides share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) handoff: Handoff,
    pub(crate) options: Options,
    pub(crate) board: Scoreboard,
    pub(crate) spools: Spools,
    /// The room for responses to slow clients.
    pub(crate) room: Arc<Room>,
    pub(crate) access: Option<AccessLog>,
    /// Figures for a statsd server, if there is one.
    pub(crate) figures: Option<RequestFigures>,
    pub(crate) losses: LossLog,
    /// Which identifier a request has.
    pub(crate) ids: RequestIds,
    /// How often the process had forked before it was a worker.
    pub(crate) forks: u32,
    pub(crate) workers: AtomicU16,
    /// The application has asked for the end of this worker.
    pub(crate) leaves: AtomicBool,
    /// A signal ends this worker at once.
    pub(crate) is_interrupted: AtomicBool,
}

impl Shared {
    /// The stores of responses that wait for slow clients.
    pub(crate) fn stores(&self) -> Stores<'_> {
        Stores { spools: &self.spools, room: &self.room }
    }

    /// Whether the peer of a socket may send a header of the PROXY protocol.
    pub(crate) fn allows_proxy(&self, peer: &Address) -> bool {
        match peer {
            Address::Internet { ip, .. } => self.options.proxy_allow.contains(*ip),
            Address::Unix(_) => self.options.proxy_allow.contains_unix(),
        }
    }

    /// Whether connections are used again after a response.
    pub(crate) fn keeps_alive(&self) -> bool {
        !self.options.keep_alive.is_zero() && !self.handoff.is_draining()
    }

    /// The server's own fields in a response to the client of a URL with this scheme. A
    /// rule about https that arrives over plain HTTP is ignored (RFC 6797 section 7.2).
    pub(crate) fn own_fields(&self, scheme: Scheme) -> OwnFields<'_> {
        let Options { hsts, server_header, response_fields, id_field, .. } = &self.options;
        let hsts = match scheme {
            Scheme::Http => 0,
            Scheme::Https => *hsts,
        };
        OwnFields {
            hsts,
            has_server: *server_header,
            added: response_fields,
            id_field: id_field.as_deref(),
            id: None,
        }
    }

    /// Whether the application has forked: another process may hold copies of
    /// the connections' descriptors.
    pub(crate) fn has_forked(&self) -> bool {
        fork::count() != self.forks
    }

    /// Whether other workers accept from the same listeners.
    pub(crate) fn is_shared(&self) -> bool {
        self.workers() > 1
    }

    /// How many workers accept from the same listeners.
    pub(crate) fn workers(&self) -> u16 {
        self.workers.load(Ordering::Relaxed).max(1)
    }

    /// Writes the buffered lines of the access log.
    pub(crate) fn flush_access(&self) {
        if let Some(access) = &self.access {
            access.flush();
        }
    }

    /// Adds a request to the figures for statsd. A request that could not be read has taken no
    /// time.
    pub(crate) fn add_to_figures(&self, status: u16, begun_us: u64, now_us: u64) {
        if let Some(figures) = &self.figures {
            let took_us = if begun_us == 0 { 0 } else { now_us.saturating_sub(begun_us) };
            figures.add(status, took_us);
        }
    }

    /// Sends the figures for statsd that have waited for long enough.
    pub(crate) fn send_figures(&self, now_ms: u64) {
        if let Some(figures) = &self.figures {
            figures.flush_due(now_ms);
        }
    }

    /// Whether the loop must not sleep for longer than figures may wait: some wait, or a request
    /// that ends meanwhile will have some.
    pub(crate) fn has_figures(&self) -> bool {
        let ends_one = || self.handoff.slots.in_flight() > 0;
        self.figures.as_ref().is_some_and(|figures| figures.is_pending() || ends_one())
    }

    /// Counts something that the server gives up by its own decision, and
    /// writes a line to the log, unless there are many of its kind. `facts` are those of
    /// the request, if it is about one.
    pub(crate) fn give_up(&self, kind: GivenUp, facts: Option<RequestFacts>, line: fmt::Arguments) {
        self.losses.give_up(&self.board, kind, facts, line);
    }

    /// As above, about a request whose body cannot be kept.
    pub(crate) fn give_up_unkept(&self, error: &io::Error, facts: RequestFacts) {
        let (why, id) = (reason(error), facts.id());
        let line = format_args!("cannot keep a request's body: {why}; answered 503 (request {id})");
        self.give_up(GivenUp::Unkept, Some(facts), line);
    }

    /// As above, about a request whose application does not get the rest of its body.
    pub(crate) fn give_up_body(
        &self,
        kind: GivenUp,
        peer: &Address,
        why: &str,
        facts: RequestFacts,
    ) {
        let id = facts.id();
        let line = format_args!("broke off the body of a request of {peer}: {why} (request {id})");
        self.give_up(kind, Some(facts), line);
    }

    /// As above: the rest of the body is not waited for.
    pub(crate) fn give_up_slow_body(&self, peer: &Address, facts: RequestFacts) {
        let why = "too little progress within --body-timeout";
        self.give_up_body(GivenUp::Late, peer, why, facts);
    }
}
