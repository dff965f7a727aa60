//! The addresses to listen on, as text. This module resolves and opens nothing.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use crate::host_port::{read_host_port, text_of_host_port};
use crate::raw::{bytes_of, text_of};

/// The default port, as in gunicorn.
const DEFAULT_PORT: u16 = 8000;

/// The maximum length of a name in `sockaddr_un`, without the final NUL (unix(7)).
const SOCKET_NAME_MAX: usize = 107;

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Bind {
    /// A TCP port.
    Tcp {
        /// Name or number of the host; without the brackets of IPv6.
        host: String,
        /// The port; 0 lets the kernel choose.
        port: u16,
        /// The network interface that connections must come in by, such as `eth0`; `None` for
        /// every interface. Not the zone of an IPv6 address, which is in `host`.
        interface: Option<String>,
    },
    /// A Unix socket in the file system.
    Unix(PathBuf),
    /// A Unix socket in the abstract name space, without the leading `@`.
    Abstract(String),
    /// An inherited listening socket with this number.
    Fd(i32),
}

impl FromStr for Bind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("unix:") {
            return unix(name.strip_prefix("//").unwrap_or(name));
        }
        if let Some(number) = text.strip_prefix("fd://") {
            return match number.parse() {
                Ok(number) if number >= 0 => Ok(Self::Fd(number)),
                _ => Err(format!("{number:?} is not the number of a descriptor")),
            };
        }
        Self::tcp(text.strip_prefix("tcp://").unwrap_or(text), DEFAULT_PORT)
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, interface } => {
                out.write_str(&text_of_host_port(host, *port))?;
                interface.iter().try_for_each(|name| write!(out, "%{name}"))
            }
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
            Self::Abstract(name) => write!(out, "unix:@{name}"),
            Self::Fd(number) => write!(out, "fd://{number}"),
        }
    }
}

impl Bind {
    /// The default address, as in gunicorn.
    pub(crate) fn local() -> Self {
        Self::Tcp { host: "127.0.0.1".to_owned(), port: DEFAULT_PORT, interface: None }
    }

    /// Reads the address of a TCP port; `default_port` is that of a host without one.
    pub(crate) fn tcp(text: &str, default_port: u16) -> Result<Self, String> {
        let (text, interface) = split_interface(text)?;
        let (host, port) = read_host_port(text, "0.0.0.0", default_port, refusal)?;
        Ok(Self::Tcp { host, port, interface })
    }

    /// Whether other machines may reach the address. No name is looked up: one other than
    /// `localhost` counts as that of an address that they reach. An inherited socket does not.
    #[must_use]
    pub fn is_public(&self) -> bool {
        match self {
            Self::Tcp { host, .. } => {
                let (address, _zone) = host.split_once('%').unwrap_or((host, ""));
                match address.parse::<IpAddr>() {
                    Ok(address) => !address.to_canonical().is_loopback(),
                    Err(_) => !host.eq_ignore_ascii_case("localhost"),
                }
            }
            Self::Unix(_) | Self::Abstract(_) | Self::Fd(_) => false,
        }
    }

    /// Writes the address as text, also with any bytes in a path.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Unix(path) => format!("unix:{}", text_of(path.as_os_str())),
            Self::Tcp { .. } | Self::Abstract(_) | Self::Fd(_) => self.to_string(),
        }
    }
}

/// The longest name of an interface (`IFNAMSIZ` without its NUL).
const INTERFACE_NAME_MAX: usize = 15;

/// The address, and the interface behind its last percent sign. In the brackets of an IPv6
/// address a percent sign begins its zone (RFC 4007).
fn split_interface(text: &str) -> Result<(&str, Option<String>), String> {
    let at = text.rfind('%').filter(|at| !text[*at..].contains(']'));
    let Some((address, name)) = at.map(|at| (&text[..at], &text[at + 1..])) else {
        return Ok((text, None));
    };
    // What the kernel takes for a name (`dev_valid_name`).
    let is_foreign = |letter: char| letter.is_whitespace() || "/:%".contains(letter);
    let is_name = !name.is_empty()
        && name.len() <= INTERFACE_NAME_MAX
        && !name.contains(is_foreign)
        && ![".", ".."].contains(&name);
    if is_name {
        Ok((address, Some(name.to_owned())))
    } else {
        Err(format!("{name:?} is no name of an interface; example: 0.0.0.0:8000%eth0"))
    }
}

fn unix(name: &str) -> Result<Bind, String> {
    let bare = name.strip_prefix('@').unwrap_or(name);
    if bare.is_empty() {
        return Err("a path is missing after unix:".to_owned());
    }
    if bytes_of(bare).len() > SOCKET_NAME_MAX || bare.contains('\0') {
        return Err(format!("{name:?} is no name for a socket: at most {SOCKET_NAME_MAX} bytes"));
    }
    Ok(match name.strip_prefix('@') {
        Some(name) => Bind::Abstract(name.to_owned()),
        None => Bind::Unix(PathBuf::from(bytes_of(name))),
    })
}

fn refusal(text: &str) -> String {
    format!(
        "cannot read {text:?} as an address; examples: 127.0.0.1:8000, https://:443, [::1]:8000, \
         unix:PATH"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Bind {
        Bind::Tcp { host: host.to_owned(), port, interface: None }
    }

    #[test]
    fn gunicorns_spellings_are_read() {
        for (text, bind) in [
            ("127.0.0.1:80", tcp("127.0.0.1", 80)),
            ("Example.ORG", tcp("example.org", 8000)),
            ("tcp://0.0.0.0:0", tcp("0.0.0.0", 0)),
            (":8080", tcp("0.0.0.0", 8080)),
            ("[::1]:8000", tcp("::1", 8000)),
            ("[fe80::1%eth0]", tcp("fe80::1%eth0", 8000)),
            ("unix:/run/shop.sock", Bind::Unix("/run/shop.sock".into())),
            ("unix:///run/shop.sock", Bind::Unix("/run/shop.sock".into())),
            ("unix:shop.sock", Bind::Unix("shop.sock".into())),
            ("unix:@shop", Bind::Abstract("shop".to_owned())),
            ("fd://3", Bind::Fd(3)),
        ] {
            assert_eq!(text.parse(), Ok(bind), "{text}");
        }
    }

    #[test]
    fn an_interface_is_not_the_zone_of_an_address() {
        let on = |host: &str, port, name: &str| Bind::Tcp {
            host: host.to_owned(),
            port,
            interface: Some(name.to_owned()),
        };
        for (text, bind) in [
            ("0.0.0.0:80%eth0", on("0.0.0.0", 80, "eth0")),
            (":80%br-1.5", on("0.0.0.0", 80, "br-1.5")),
            ("tcp://example.org%lo", on("example.org", 8000, "lo")),
            ("[::]:80%eth0", on("::", 80, "eth0")),
            ("[fe80::1%2]:80", tcp("fe80::1%2", 80)),
            ("[fe80::1%2]:80%eth0", on("fe80::1%2", 80, "eth0")),
            ("[fe80::1%2]%eth0", on("fe80::1%2", 8000, "eth0")),
        ] {
            assert_eq!(text.parse(), Ok(bind.clone()), "{text}");
            assert_eq!(bind.to_string().parse(), Ok(bind), "{text}");
        }
        for text in [":80%", ":80%a b", ":80%a/b", ":80%sixteen-letters-", ":80%..", ":80%a%b:1"] {
            let reason = text.parse::<Bind>().unwrap_err();
            assert!(reason.contains("no name of an interface"), "{text}: {reason}");
        }
        assert!("%eth0".parse::<Bind>().is_err());
    }

    #[test]
    fn addresses_of_this_machine_are_not_public() {
        let is_public = |text: &str| text.parse::<Bind>().unwrap().is_public();
        for text in [
            "127.0.0.1",
            "127.3.0.1:1",
            "[::1]:80",
            "[::ffff:127.0.0.1]:80",
            "[::1%lo]:80",
            "localhost:80",
            "LOCALHOST",
            "unix:/a",
            "unix:@a",
            "fd://3",
        ] {
            assert!(!is_public(text), "{text}");
        }
        let public = ["10.0.0.1", "[::]", "[::ffff:10.0.0.1]:80", "[fe80::1%eth0]:80", "h:1"];
        for text in public.into_iter().chain([":80", ":80%lo"]) {
            assert!(is_public(text), "{text}");
        }
    }

    #[test]
    fn what_is_printed_reads_back() {
        for text in ["h:1", "[::1]:2", "h:3%eth0", "unix:/a", "unix:@b", "fd://4"] {
            assert_eq!(text.parse::<Bind>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refusals_name_the_remedy() {
        for (text, part) in [
            ("8000", "write :8000"),
            ("::1", "brackets"),
            ("::1:8000", "brackets"),
            ("ftp://x:1", "https://:443"),
            ("x:port", "not a port"),
            ("x:", "not a port"),
            ("x:+1", "not a port"),
            ("x:65536", "not a port"),
            ("[::1]8000", "examples"),
            ("a,b:1", "examples"),
            ("unix:", "path is missing"),
            ("unix:@", "path is missing"),
            ("fd://x", "descriptor"),
            ("fd://-1", "descriptor"),
            ("", "empty"),
        ] {
            let reason = text.parse::<Bind>().unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
        assert!(format!("unix:/{}", "x".repeat(107)).parse::<Bind>().is_err());
    }
}
