//! Which clients may see code of the application: a developer's browser on this machine.

use std::net::IpAddr;

use monoceros_engine::{Address, Arrival};
use monoceros_http::{Head, MediaRange};
use monoceros_wire::listener::{ListenerAddress, ListenerDescription};

use crate::forwarding_fields::is_forwarded;
use crate::host_name::without_port;

/// The listeners at loopback addresses.
#[derive(Clone, Debug)]
pub(crate) struct LocalAddresses {
    /// Whether each one is, in the order of the engine.
    are_loopback: Vec<bool>,
}

impl LocalAddresses {
    /// Those of these listeners.
    pub(crate) fn of(listeners: &[ListenerDescription]) -> Self {
        let is_loopback = |it: &ListenerDescription| match &it.address {
            ListenerAddress::Internet(address) => address.ip().to_canonical().is_loopback(),
            ListenerAddress::Unix(_) => false,
        };
        Self { are_loopback: listeners.iter().map(is_loopback).collect() }
    }

    /// Whether both ends of the connection are this machine's, and the client has named it so. A
    /// name of another host that leads to a loopback address is one that a foreign page has chosen
    /// (DNS rebinding).
    pub(crate) fn has_client(&self, arrival: &Arrival) -> bool {
        let is_client_local = match arrival.peer {
            Address::Internet { ip, .. } => ip.to_canonical().is_loopback(),
            Address::Unix(_) => false,
        };
        self.are_loopback.get(arrival.listener).is_some_and(|it| *it)
            && is_client_local
            && !is_forwarded(arrival.head)
            && arrival.head.host().map(without_port).is_some_and(is_local_name)
    }
}

/// Whether a browser asks for a page. Scripts of a page usually accept anything, and browsers
/// mark their requests by `Sec-Fetch-Mode` (W3C Fetch Metadata).
pub(crate) fn is_navigation(head: &Head) -> bool {
    let values = |wanted: &'static [u8]| {
        head.fields()
            .filter(move |(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value)
    };
    MediaRange::all_of(values(b"accept")).any(|it| it.is(b"text/html") && it.quality() > 0)
        && values(b"sec-fetch-mode").all(|mode| mode == b"navigate")
}

fn is_local_name(host: &[u8]) -> bool {
    let name = String::from_utf8_lossy(host).to_ascii_lowercase();
    let name = name.trim_end_matches('.');
    let is_address = |text: &str| text.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    name == "localhost"
        || name.ends_with(".localhost")
        || is_address(name.trim_start_matches('[').trim_end_matches(']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_are_known() {
        for (name, expected) in [
            ("localhost", true),
            ("LOCALHOST.", true),
            ("shop.localhost", true),
            ("127.0.0.1", true),
            ("[::1]", true),
            ("127.0.0.1.example.com", false),
            ("notlocalhost", false),
            ("", false),
        ] {
            assert_eq!(is_local_name(name.as_bytes()), expected, "{name}");
        }
    }
}
