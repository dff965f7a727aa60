//! TLS between a server that is made of a material and a client of rustls, without sockets;
//! and what is read from PEM files.

// The whole crate is a test, also what is not marked as one.
#![allow(clippy::unwrap_used)]

mod authority;
mod clients;
mod names;
mod pairs;
mod resumption;
mod serving;
