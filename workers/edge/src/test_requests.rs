//! Requests for the tests of the parts.

use std::net::IpAddr;

use monoceros_engine::{Address, Arrival};
use monoceros_http::{Head, Limits};
use monoceros_wire::listener::{ListenerAddress, ListenerDescription, ListenerOptions, Scheme};

/// The head with these lines.
pub(crate) fn head(text: &str) -> Head {
    let mut head = Head::new();
    let limits = Limits { request_line: 4094, fields: 100, field_size: 8190 };
    head.read(text.as_bytes(), &limits).unwrap().unwrap();
    head
}

/// An address with some port.
pub(crate) fn internet(ip: &str) -> Address {
    let ip: IpAddr = ip.parse().unwrap();
    Address::Internet { ip, host: ip.to_string(), port: 8000 }
}

/// A request of this client at the first listener, over plain HTTP.
pub(crate) fn arrival<'a>(head: &'a Head, peer: &'a Address) -> Arrival<'a> {
    let (scheme, connection_scheme) = (Scheme::Http, Scheme::Http);
    Arrival { head, peer, local: peer, listener: 0, prefix: None, scheme, connection_scheme }
}

/// A listener at this address, for plain HTTP.
pub(crate) fn listener(address: &str) -> ListenerDescription {
    ListenerDescription {
        name: String::new(),
        address: ListenerAddress::Internet(address.parse().unwrap()),
        scheme: Scheme::Http,
        alpn: Vec::new(),
        options: ListenerOptions::default(),
        access: None,
    }
}
