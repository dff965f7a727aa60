//! The addresses to listen on, as text. This module resolves and opens nothing.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::raw::{bytes_of, text_of};
use crate::value::not_empty;

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
            Self::Tcp { host, port } if host.contains(':') => write!(out, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(out, "{host}:{port}"),
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
            Self::Abstract(name) => write!(out, "unix:@{name}"),
            Self::Fd(number) => write!(out, "fd://{number}"),
        }
    }
}

impl Bind {
    /// The default address, as in gunicorn.
    pub(crate) fn local() -> Self {
        Self::Tcp { host: "127.0.0.1".to_owned(), port: DEFAULT_PORT }
    }

    /// Reads the address of a TCP port; `default_port` is that of a host without one.
    pub(crate) fn tcp(text: &str, default_port: u16) -> Result<Self, String> {
        not_empty(text)?;
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => {
                (host, Some(rest.strip_prefix(':').ok_or_else(|| refusal(text))?))
            }
            None => match text.split_once(':') {
                Some((_, rest)) if text.contains("://") && !rest.is_empty() => {
                    return Err(refusal(text));
                }
                Some((_, rest)) if rest.contains(':') => {
                    return Err(format!("{}; an IPv6 address needs brackets", refusal(text)));
                }
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        if port.is_none() && host.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("{host} is not an address; for the port {host} write :{host}"));
        }
        if host.contains(|c: char| c.is_whitespace() || "/[],@".contains(c)) {
            return Err(refusal(text));
        }
        let port = port.map_or(Ok(default_port), |port| {
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            port.parse().ok().filter(|_| digits).ok_or_else(|| format!("{port:?} is not a port"))
        })?;
        let host = if host.is_empty() { "0.0.0.0".to_owned() } else { host.to_lowercase() };
        Ok(Self::Tcp { host, port })
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
        Bind::Tcp { host: host.to_owned(), port }
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
    fn what_is_printed_reads_back() {
        for text in ["h:1", "[::1]:2", "unix:/a", "unix:@b", "fd://4"] {
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
