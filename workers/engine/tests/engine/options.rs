//! The options of engines under test.

use std::time::Duration;

use monoceros_config::AddressSet;
use monoceros_http::{Fields, Limits};

use super::{ApplicationKind, CodeFailure, Forwarding, Options, SpoolLimit, WorkerHealth};

/// Limits that the heads of the tests keep.
pub(crate) const LIMITS: Limits = Limits { request_line: 4094, fields: 100, field_size: 8190 };

/// One thread, and timeouts that no test reaches unless it sets them.
pub(crate) fn options() -> Options {
    Options {
        application: threads(1),
        workers: 1,
        connections: 1000,
        limits: LIMITS,
        handshake_timeout: Duration::from_secs(10),
        proxy_allow: AddressSet { all: true, networks: Vec::new(), unix: true },
        header_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(30),
        queue_timeout: Duration::MAX,
        write_timeout: Duration::from_secs(60),
        keep_alive: Duration::from_secs(75),
        graceful_timeout: Duration::from_secs(30),
        drain_idle: Duration::from_secs(1),
        response_memory: 64 << 20,
        response_disk: 1 << 30,
        longest_body: 1 << 30,
        accept: None,
        connection_limit: None,
        forwarding: Forwarding::default(),
        hsts: 0,
        server_header: true,
        response_fields: Fields::new(),
        id_field: Some(b"X-Request-ID".as_slice().into()),
        health: WorkerHealth::default(),
        failure: CodeFailure::default(),
        local: None,
        revise: None,
        reserve: 0,
        spool_directory: Some(std::env::temp_dir()),
        spool_limit: SpoolLimit::Bytes(u64::MAX),
        spool_count: None,
    }
}

/// So many application threads.
pub(crate) fn threads(count: u16) -> ApplicationKind {
    ApplicationKind::Threads { count, parallel: false }
}
