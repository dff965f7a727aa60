//! The engine from outside: a worker in this process, with a real listener and
//! a real channel. The application is a thread of the test.

// The whole crate is a test, also what is not marked as one.
#![allow(clippy::unwrap_used)]

mod admission;
mod encoded;
mod events;
mod expire;
mod forwarding;
mod layer;
mod local;
mod local_files;
mod loop_owner;
mod multiplexed;
mod options;
mod revise;
mod running;
mod tls;

use monoceros_engine::{
    ApplicationKind, CodeFailure, Forwarding, Options, SpoolLimit, WorkerHealth,
};
