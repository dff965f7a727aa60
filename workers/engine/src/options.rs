//! The engine's part of the settings, ready for use.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use monoceros_config::AddressSet;
use monoceros_http::{Fields, Limits};
use monoceros_wire::spool_count::WorkerSpoolCount;

use crate::code_failure::CodeFailure;
use crate::connection::limit::ConnectionLimit;
use crate::forwarding::Forwarding;
use crate::health::WorkerHealth;
use crate::listen::admission::AcceptDecision;
use crate::spool::allowance::SpoolLimit;
use crate::stream::local::{LocalDecision, ResponseReviser};

/// How requests reach the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplicationKind {
    /// Threads that wait, and have one complete request each (WSGI).
    Threads {
        /// How many threads.
        count: u16,
        /// They share no interpreter lock: all of them can compute at the same time.
        parallel: bool,
    },
    /// An event loop of the application, which has many requests at a time and takes
    /// their bodies as they arrive (ASGI, gevent).
    Events {
        /// The most requests at one time.
        streams: u16,
        /// The most bytes of a body that wait to be taken.
        body_buffer: usize,
    },
}

impl ApplicationKind {
    /// Whether a request is given to the application only when its whole body has
    /// arrived. A thread that waits for a slow client could serve others.
    pub(crate) fn waits_for_bodies(self) -> bool {
        matches!(self, Self::Threads { .. })
    }

    /// The most bytes of a body that wait to be taken.
    pub(crate) fn body_buffer(self) -> usize {
        match self {
            Self::Threads { .. } => 0,
            Self::Events { body_buffer, .. } => body_buffer.max(1),
        }
    }

    /// The most requests that the application can have at one time.
    pub(crate) fn capacity(self) -> u32 {
        match self {
            Self::Threads { count, .. } => count.into(),
            Self::Events { streams, .. } => streams.into(),
        }
    }
}

/// The engine's part of the settings.
#[derive(Clone, Debug)]
pub struct Options {
    /// How requests reach the application.
    pub application: ApplicationKind,
    /// How many workers accept from the same listeners at the start.
    pub workers: u16,
    /// The most connections at one time.
    pub connections: usize,
    /// Limits of a request head.
    pub limits: Limits,
    /// How long the opening of a connection may take: a header of the PROXY protocol and the
    /// TLS handshake together.
    pub handshake_timeout: Duration,
    /// The proxies that may send a header of the PROXY protocol.
    pub proxy_allow: AddressSet,
    /// How long a request head may take, from its first byte.
    pub header_timeout: Duration,
    /// How long a request body may go without progress.
    pub body_timeout: Duration,
    /// How long a request may wait for the application before it is refused.
    pub queue_timeout: Duration,
    /// How long a response may wait for a client that takes nothing.
    pub write_timeout: Duration,
    /// How long a connection may be idle before a request; zero closes it after
    /// each response.
    pub keep_alive: Duration,
    /// How long a drain may take.
    pub graceful_timeout: Duration,
    /// How long a draining worker keeps idle connections.
    pub drain_idle: Duration,
    /// How much of responses may wait in memory for slow clients, in bytes.
    pub response_memory: u64,
    /// How much of responses may wait on disk for slow clients, in bytes.
    pub response_disk: u64,
    /// The longest body of a request, in bytes.
    pub longest_body: u64,
    /// Which connections are closed at accept.
    pub accept: Option<AcceptDecision>,
    /// The limit of connections of a client.
    pub connection_limit: Option<ConnectionLimit>,
    /// What is believed of proxies.
    pub forwarding: Forwarding,
    /// For how many seconds clients that use https may not use plain HTTP (RFC 6797); 0 for
    /// responses without this rule.
    pub hsts: u32,
    /// Responses name the server.
    pub server_header: bool,
    /// Fields that are added to each response that does not have them. None of them is about
    /// the connection or the length of the body.
    pub response_fields: Fields,
    /// The name of the field with a request's identifier, in requests and responses; `None`
    /// neither reads nor sends one.
    pub id_field: Option<Box<[u8]>>,
    /// Whether the worker serves.
    pub health: WorkerHealth,
    /// Why code of the application cannot be loaded, if it cannot be.
    pub failure: CodeFailure,
    /// The requests that the server responds to by itself.
    pub local: Option<LocalDecision>,
    /// The revision of the application's responses.
    pub revise: Option<ResponseReviser>,
    /// How many requests may wait for the application beyond its slots while connections
    /// are accepted: with every application thread stuck, handshakes and the server's own
    /// responses continue on new connections. It is used only for connections that no other
    /// worker accepts.
    pub reserve: usize,
    /// The directory for bodies that are too large for memory; `None` keeps them in
    /// files in memory.
    pub spool_directory: Option<PathBuf>,
    /// How much of bodies may be in that directory.
    pub spool_limit: SpoolLimit,
    /// The bytes that all workers of the server have there; `None` counts those of this worker.
    pub spool_count: Option<Arc<WorkerSpoolCount>>,
}
