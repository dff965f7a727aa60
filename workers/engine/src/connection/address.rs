//! Addresses of sockets, ready for a worker's use.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use monoceros_wire::listener::{ListenerAddress, UnixAddress};

/// Where a listener, or a connection's own side, is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP address and a port.
    Internet {
        /// The address; an IPv4 address also where the connection came over IPv6.
        ip: IpAddr,
        /// The address as text, without brackets: made once for each connection.
        host: String,
        /// The port.
        port: u16,
    },
    /// A unix socket; that of a client has no name.
    Unix(UnixAddress),
}

/// A client's connection to a proxy, as the proxy reports it (PROXY protocol).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxiedConnection {
    /// Its protocol as in a header of version 1: `TCP4` or `TCP6`.
    pub protocol: &'static str,
    /// The address of the client.
    pub client: Address,
    /// The address that the client has connected to.
    pub server: Address,
}

impl ProxiedConnection {
    /// The connection between these addresses.
    pub(crate) fn new(client: SocketAddr, server: SocketAddr) -> Self {
        let protocol = if client.is_ipv4() { "TCP4" } else { "TCP6" };
        let (client, server) = (Address::internet(client), Address::internet(server));
        Self { protocol, client, server }
    }
}

impl Address {
    /// The address of a unix socket without a name.
    pub(crate) fn unnamed() -> Self {
        Self::Unix(UnixAddress::default())
    }

    /// The IP address; `None` of a unix socket.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Internet { ip, .. } => Some(*ip),
            Self::Unix(_) => None,
        }
    }

    /// The address of an internet socket.
    pub(crate) fn internet(address: SocketAddr) -> Self {
        let ip = address.ip().to_canonical();
        let host = match ip {
            IpAddr::V4(ip) => dotted(ip),
            IpAddr::V6(ip) => ip.to_string(),
        };
        Self::Internet { ip, host, port: address.port() }
    }
}

/// The text of an IPv4 address. Behind a proxy it is made for each request, and `Display` needs
/// several times as many instructions.
fn dotted(ip: Ipv4Addr) -> String {
    let mut text = String::with_capacity("255.255.255.255".len());
    for (index, octet) in ip.octets().into_iter().enumerate() {
        if index > 0 {
            text.push('.');
        }
        if octet >= 100 {
            text.push(char::from(b'0' + octet / 100));
        }
        if octet >= 10 {
            text.push(char::from(b'0' + octet / 10 % 10));
        }
        text.push(char::from(b'0' + octet % 10));
    }
    text
}

impl From<ListenerAddress> for Address {
    fn from(address: ListenerAddress) -> Self {
        match address {
            ListenerAddress::Internet(address) => Self::internet(address),
            ListenerAddress::Unix(address) => Self::Unix(address),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Internet { ip: IpAddr::V6(_), host, port } => {
                write!(formatter, "[{host}]:{port}")
            }
            Self::Internet { host, port, .. } => write!(formatter, "{host}:{port}"),
            Self::Unix(address) => write!(formatter, "unix:{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_address_is_that_of_the_standard_library() {
        for octet in 0..=u8::MAX {
            let ip = Ipv4Addr::new(octet, 0, 255 - octet, octet);
            assert_eq!(dotted(ip), ip.to_string());
        }
        for (ip, text) in [("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8::7", "2001:db8::7")] {
            let address = Address::internet((ip.parse::<IpAddr>().unwrap(), 1).into());
            assert!(matches!(&address, Address::Internet { host, .. } if host == text), "{ip}");
        }
    }
}
