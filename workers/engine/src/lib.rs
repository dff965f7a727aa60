//! The event loop of a worker, for every kind of application.
//!
//! A worker has two sides that share nothing but two queues and the scoreboard. The I/O
//! thread accepts, reads whole requests, watches deadlines and writes what a slow
//! client could not take at once. Application threads take a request at a
//! [`RequestSource`], respond through its [`Exchange`], and are free as soon as they
//! have given the response, however slow the client is.

mod atomics;
mod code_failure;
mod connection;
mod engine;
mod event_loop;
mod forwarding;
mod handoff;
mod health;
mod listen;
mod master_line;
mod options;
mod protocol;
mod record;
mod shared;
mod spool;
mod stream;
#[cfg(test)]
#[path = "../tests/engine/options.rs"]
mod test_options;
mod transport;
mod trim;

pub use code_failure::{CodeFailure, CurrentFailure};
pub use connection::address::{Address, ProxiedConnection};
pub use connection::limit::{ConnectionCounter, ConnectionLimit, CountedConnection};
pub use engine::{Engine, EngineParts};
pub use event_loop::drain::DrainOrigin;
pub use forwarding::Forwarding;
pub use handoff::event_source::{EventSource, InboxEvent};
pub use handoff::source::RequestSource;
pub use handoff::wait::Wait;
pub use health::WorkerHealth;
pub use listen::admission::{AcceptDecision, AcceptedPeer};
pub use listen::gate::ListenerParts;
pub use master_line::{MasterLine, MetricsReply};
pub use options::{ApplicationKind, Options};
pub use protocol::multiplexer::{Multiplexer, MultiplexerFactory, ProtocolEvent};
pub use record::access::AccessLog;
pub use record::access_facts::{AccessFacts, AccessSink};
pub use record::figures::RequestFigures;
pub use record::request_facts::RequestFacts;
pub use record::session_variables::session_variables;
pub use spool::allowance::SpoolLimit;
pub use spool::spool_file::Spool;
pub use spool::temporary::Temporary;
pub use stream::body::{Body, MEMORY_LIMIT};
pub use stream::content::{FilePart, LocalContent, SharedBytes};
pub use stream::encoding::{BodyEncoder, EncodingStep};
pub use stream::exchange::{COPY_LIMIT, ClientDisconnected, Exchange, SwitchedSocket};
pub use stream::inbound::BodyPiece;
pub use stream::local::{
    Arrival, Decision, LocalDecision, LocalResponse, ResponseDraft, ResponseReviser, Revision,
};
pub use stream::request::Request;
pub use stream::response::Fault;
pub use transport::layer::{Layer, LayerFactory};
pub use transport::payload::Payload;
pub use transport::socket::Socket;
pub use transport::tls::TlsLayer;
pub use transport::tls_material::read_material;
