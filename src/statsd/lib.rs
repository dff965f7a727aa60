//! Figures for a statsd server: gunicorn's names and types, many in one datagram. A datagram that
//! cannot be sent at once is dropped, so nothing waits for the server.
//!
//! The master and the workers have a sender each.

mod metric;
mod packet;
mod sender;

pub use metric::Metric;
pub use sender::StatsdSender;
