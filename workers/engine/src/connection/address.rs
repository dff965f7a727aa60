//! Addresses of sockets, ready for a worker's use.

use std::net::{IpAddr, SocketAddr};

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
    /// The address of an internet socket.
    pub(crate) fn internet(address: SocketAddr) -> Self {
        let ip = address.ip().to_canonical();
        Self::Internet { ip, host: ip.to_string(), port: address.port() }
    }
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
