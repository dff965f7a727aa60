//! The event loop of a worker, whatever it serves.
//!
//! A worker has two sides that share nothing but two queues and the
//! scoreboard. The I/O thread accepts, reads whole requests, watches deadlines
//! and writes what a slow client could not take at once. Application threads
//! take a request at a [`Desk`], answer it through its [`Exchange`], and are
//! free as soon as they have given the answer, however slow the client is.

mod accept;
mod access;
mod admit;
mod allowance;
mod answer;
mod batch;
mod body;
mod connection;
mod core;
mod crew;
mod desk;
mod displace;
mod drain;
mod exchange;
mod expire;
mod file_range;
mod gate;
mod giving_up;
mod hearing;
mod hub;
mod io;
mod lead;
mod link;
mod loss;
mod options;
mod outgoing;
mod pace;
mod payload;
mod pledge;
mod queue_age;
mod request;
mod room;
mod spool;
mod spools;
mod stamp;
mod sweep;
mod temporary;
mod traffic;
mod trim;
mod turns;
mod worker;

pub use access::AccessLog;
pub use answer::Fault;
pub use body::{Body, MEMORY_LIMIT};
pub use desk::Desk;
pub use exchange::{COPY_LIMIT, Exchange, Gone};
pub use hub::Wait;
pub use link::Address;
pub use options::{LONGEST_BODY, Options};
pub use payload::Payload;
pub use request::Request;
pub use spool::Spool;
pub use temporary::Temporary;
pub use worker::{Given, Worker};
