//! The socket to a statsd server, and what waits to be sent there.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use monoceros_config::{StatsdAddress, StatsdPrefix, StatsdTags};
use monoceros_sys::fork::Mark;

use crate::metric::Metric;
use crate::packet::Packet;

/// The first address of a host. May wait for a name server.
fn find(host: &str, port: u16) -> io::Result<SocketAddr> {
    let mut found = (host, port).to_socket_addrs()?;
    found.next().ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The socket. It is not connected: a server that is started later gets what is sent then, and
/// one that refuses datagrams causes no error here.
#[derive(Debug)]
enum StatsdSocket {
    Udp(UdpSocket, SocketAddr),
    Unix(UnixDatagram, PathBuf),
}

impl StatsdSocket {
    fn open(address: &StatsdAddress) -> io::Result<Self> {
        Ok(match address {
            StatsdAddress::Udp { host, port } => {
                let to = find(host, *port)?;
                let any: SocketAddr = match to {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                socket.set_nonblocking(true)?;
                Self::Udp(socket, to)
            }
            StatsdAddress::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.set_nonblocking(true)?;
                Self::Unix(socket, path.clone())
            }
        })
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket, to) => socket.send_to(bytes, to),
            Self::Unix(socket, path) => socket.send_to(bytes, path),
        }
    }
}

impl AsFd for StatsdSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Udp(socket, _) => socket.as_fd(),
            Self::Unix(socket, _) => socket.as_fd(),
        }
    }
}

/// Sends figures.
#[derive(Debug)]
pub struct StatsdSender {
    /// Processes that the application forks do not keep the socket.
    _mark: Mark,
    socket: StatsdSocket,
    prefix: String,
    tags: String,
    packet: Packet,
    line: String,
}

impl StatsdSender {
    /// A sender of figures whose names begin with `prefix`, and which have these tags. May wait
    /// for a name server.
    ///
    /// # Errors
    /// Those of `getaddrinfo(3)` and `socket(2)`.
    pub fn open(
        address: &StatsdAddress,
        prefix: &StatsdPrefix,
        tags: &StatsdTags,
    ) -> io::Result<Self> {
        let socket = StatsdSocket::open(address)?;
        let tags = if tags.0.is_empty() { String::new() } else { format!("|#{}", tags.0) };
        Ok(Self {
            _mark: Mark::new(socket.as_fd()),
            socket,
            prefix: prefix.text(),
            tags,
            packet: Packet::default(),
            line: String::new(),
        })
    }

    /// Adds a figure. What is full is sent.
    pub fn add(&mut self, name: &str, metric: Metric) {
        self.line.clear();
        metric.push(&self.prefix, name, &self.tags, &mut self.line);
        let full = self.packet.add(&self.line);
        self.send(full);
    }

    /// Sends what waits.
    pub fn flush(&mut self) {
        let rest = self.packet.take();
        self.send(rest);
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packet.is_empty()
    }

    /// A datagram that finds no server or no room is lost, as the protocol has it.
    fn send(&self, datagram: Option<String>) {
        if let Some(datagram) = datagram {
            self.socket.send(datagram.as_bytes()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UdpSocket) -> String {
        let mut bytes = [0; 2000];
        let count = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }

    #[test]
    fn figures_are_sent_together() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            // A machine may have no IPv6.
            let Ok(server) = UdpSocket::bind(any) else { continue };
            let at = server.local_addr().unwrap();
            let to = StatsdAddress::Udp { host: at.ip().to_string(), port: at.port() };
            let (prefix, tags) = (StatsdPrefix("shop..".to_owned()), StatsdTags("a:b".to_owned()));
            let mut sender = StatsdSender::open(&to, &prefix, &tags).unwrap();
            sender.add("x", Metric::Count(1));
            sender.add("y", Metric::Gauge(2));
            assert!(!sender.is_empty());
            sender.flush();
            assert!(sender.is_empty());
            assert_eq!(received(&server), "shop.x:1|c|@1.0|#a:b\nshop.y:2|g|#a:b");
        }
    }

    #[test]
    fn a_unix_socket_may_come_later_and_may_be_full() {
        let path = std::env::temp_dir().join(format!("monoceros-statsd-{}", std::process::id()));
        let to = StatsdAddress::Unix(path.clone());
        let (prefix, tags) = Default::default();
        let mut sender = StatsdSender::open(&to, &prefix, &tags).unwrap();
        sender.add("lost", Metric::Count(1));
        sender.flush();
        let server = UnixDatagram::bind(&path).unwrap();
        for number in 0..10_000 {
            sender.add("full", Metric::Count(number));
            sender.flush();
        }
        let mut bytes = [0; 100];
        let count = server.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..count], b"full:0|c|@1.0");
        drop(server);
        std::fs::remove_file(&path).unwrap();
    }
}
