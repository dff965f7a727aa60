//! The description of a listening socket, sent beside its descriptor.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use socket2::SockRef;

/// The description of a listening socket that a worker gets, in the order of the
/// descriptors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerDescription {
    /// Its name in `LISTEN_FDNAMES` (`sd_listen_fds(3)`).
    pub name: String,
    /// The address that it is bound to.
    pub address: ListenerAddress,
    /// The scheme of its clients' URLs.
    pub scheme: Scheme,
    /// The protocols that its clients may choose from, the preferred one first (ALPN,
    /// RFC 7301); without TLS there are none.
    pub alpn: Vec<Vec<u8>>,
    /// Further facts that its connections depend on.
    pub options: ListenerOptions,
    /// Its own access rules, as the settings write them; `None` if it has those of the server
    /// alone.
    #[serde(default)]
    pub access: Option<Vec<String>>,
}

/// The facts that the connections of a listener depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerOptions {
    /// The kernel should hold back connections on which nothing has arrived
    /// (`TCP_DEFER_ACCEPT`, `tcp(7)`), so that an accepted connection can be read at
    /// once. The master has set this on the sockets that it has opened, and not on
    /// those that were passed in. Only TCP sockets can do that.
    pub defer_accept: bool,
    /// Whether its connections begin with a header of the PROXY protocol.
    #[serde(default)]
    pub proxy_protocol: ProxyProtocol,
}

/// Which header of the PROXY protocol a connection begins with: the proxy in front names
/// its client there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProxyProtocol {
    /// None is read.
    #[default]
    Off,
    /// One of either version, or none.
    Auto,
    /// One of version 1, a line of text.
    V1,
    /// One of version 2, which is binary.
    V2,
}

/// The scheme of a listener's clients' URLs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheme {
    /// `http`.
    #[default]
    Http,
    /// `https`.
    Https,
}

impl Scheme {
    /// The scheme as it is written in a URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The default port of the scheme (RFC 9110 section 4.2).
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// The address that a socket is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListenerAddress {
    /// An IP address and a port.
    Internet(SocketAddr),
    /// The address of a unix socket.
    Unix(UnixAddress),
}

/// The address of a unix socket (`unix(7)`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnixAddress {
    /// A path in the file system.
    Path(
        #[serde(serialize_with = "serialize_path", deserialize_with = "deserialize_path")] PathBuf,
    ),
    /// A name in the abstract name space.
    Abstract(Vec<u8>),
    /// No name, as most clients' sockets; also in place of an address of another
    /// family.
    #[default]
    Unnamed,
}

/// A path may have any bytes, and JSON has only text: serde writes an `OsString` as
/// numbers.
fn serialize_path<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    path.as_os_str().serialize(to)
}

fn deserialize_path<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    OsString::deserialize(from).map(PathBuf::from)
}

impl ListenerAddress {
    /// The address that this socket is bound to; for a connection, the address of this
    /// machine's end.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn of_socket(socket: BorrowedFd) -> io::Result<Self> {
        let address = SockRef::from(&socket).local_addr()?;
        if let Some(internet) = address.as_socket() {
            return Ok(Self::Internet(internet));
        }
        Ok(Self::Unix(match (address.as_pathname(), address.as_abstract_namespace()) {
            (Some(path), _) => UnixAddress::Path(path.to_owned()),
            (None, Some(name)) => UnixAddress::Abstract(name.to_owned()),
            (None, None) => UnixAddress::Unnamed,
        }))
    }

    /// Whether other machines can reach it, as far as the address shows: it is neither a
    /// loopback address nor that of a unix socket.
    #[must_use]
    pub fn is_public(&self) -> bool {
        match self {
            Self::Internet(address) => !address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => false,
        }
    }

    /// Whether it means every address of the machine: then the address of our end
    /// differs between connections.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        match self {
            Self::Internet(address) => address.ip().is_unspecified(),
            Self::Unix(_) => false,
        }
    }
}

impl fmt::Display for UnixAddress {
    /// The address as in settings and logs, without `unix:`.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(formatter),
            Self::Abstract(name) => write!(formatter, "@{}", String::from_utf8_lossy(name)),
            Self::Unnamed => Ok(()),
        }
    }
}

impl fmt::Display for ListenerAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Internet(address) => address.fmt(formatter),
            Self::Unix(UnixAddress::Unnamed) => formatter.write_str("an unnamed socket"),
            Self::Unix(address) => write!(formatter, "unix:{address}"),
        }
    }
}

impl fmt::Display for ListenerDescription {
    /// The URL for clients: `http://127.0.0.1:8000`, `unix:/run/shop.sock`.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        if let ListenerAddress::Internet(_) = self.address {
            write!(formatter, "{}://", self.scheme.as_str())?;
        }
        self.address.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::fd::AsFd;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::{SocketAddr as UnixSocketAddr, UnixListener, UnixStream};

    fn described(address: ListenerAddress) -> ListenerDescription {
        let (name, scheme, alpn) = ("a".to_owned(), Scheme::Https, vec![b"h2".to_vec()]);
        let options = ListenerOptions { defer_accept: true, proxy_protocol: ProxyProtocol::V2 };
        let access = Some(vec!["deny=all".to_owned()]);
        ListenerDescription { name, address, scheme, alpn, options, access }
    }

    #[test]
    fn every_address_survives_a_message() {
        let internet = |text: &str| ListenerAddress::Internet(text.parse().unwrap());
        let path = PathBuf::from(OsStr::from_bytes(b"/run/sh\xf6p.sock"));
        for (address, text) in [
            (internet("127.0.0.1:80"), "https://127.0.0.1:80"),
            (internet("[::1]:80"), "https://[::1]:80"),
            (internet("[fe80::1%2]:80"), "https://[fe80::1%2]:80"),
            (ListenerAddress::Unix(UnixAddress::Path(path)), "unix:/run/sh\u{fffd}p.sock"),
            (ListenerAddress::Unix(UnixAddress::Abstract(b"\0\xff".to_vec())), "unix:@\0\u{fffd}"),
            (ListenerAddress::Unix(UnixAddress::Unnamed), "an unnamed socket"),
        ] {
            let description = described(address);
            let message = serde_json::to_vec(&description).unwrap();
            let received: ListenerDescription = serde_json::from_slice(&message).unwrap();
            assert_eq!((&received, description.to_string().as_str()), (&description, text));
        }
    }

    #[test]
    fn a_socket_has_the_address_that_it_is_bound_to() {
        let bound = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = ListenerAddress::of_socket(bound.as_fd()).unwrap();
        assert_eq!(address, ListenerAddress::Internet(bound.local_addr().unwrap()));
        assert!(!address.is_wildcard());
        assert!(ListenerAddress::Internet(([0, 0, 0, 0], 1).into()).is_wildcard());
        for (text, is_public) in [
            ("127.9.0.1:80", false),
            ("[::1]:80", false),
            ("[::ffff:127.0.0.1]:80", false),
            ("0.0.0.0:80", true),
            ("[::]:80", true),
            ("192.168.0.1:80", true),
        ] {
            let address = ListenerAddress::Internet(text.parse().unwrap());
            assert_eq!(address.is_public(), is_public, "{text}");
        }
        let name = format!("monoceros-wire-{}", std::process::id());
        let own = UnixSocketAddr::from_abstract_name(&name).unwrap();
        let bound = UnixListener::bind_addr(&own).unwrap();
        let found = ListenerAddress::of_socket(bound.as_fd()).unwrap();
        assert_eq!(found, ListenerAddress::Unix(UnixAddress::Abstract(name.clone().into())));
        let path = std::env::temp_dir().join(name);
        let bound = UnixListener::bind(&path).unwrap();
        let found = ListenerAddress::of_socket(bound.as_fd());
        let client = UnixStream::connect(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(found.unwrap(), ListenerAddress::Unix(UnixAddress::Path(path)));
        let found = ListenerAddress::of_socket(client.as_fd()).unwrap();
        assert_eq!(found, ListenerAddress::Unix(UnixAddress::Unnamed));
    }
}
