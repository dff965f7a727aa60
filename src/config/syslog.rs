//! Types of settings: where messages for syslog are sent, and as what kind of message.

use std::fmt;
use std::path::PathBuf;

use crate::choice::choice;
use crate::host_port::{read_host_port, text_of_host_port};
use crate::raw::{bytes_of, text_of};
use crate::row::{Arity, Bounds};
use crate::value::Value;

/// The default port of syslog, as in gunicorn.
const PORT: u16 = 514;

/// How a unix socket of syslog takes messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyslogSocket {
    /// A datagram for each message.
    Datagram,
    /// A stream.
    Stream,
}

/// The socket to which messages for syslog are sent. As text: `unix://PATH`,
/// `unix://PATH#dgram`, `unix://PATH#stream`, `udp://HOST:PORT`, `tcp://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogAddress {
    /// A unix socket.
    Unix {
        /// Its file.
        path: PathBuf,
        /// What it takes; `None` for datagrams, or a stream if it does not take them.
        kind: Option<SyslogSocket>,
    },
    /// UDP.
    Udp {
        /// Name or number of the host; without the brackets of IPv6.
        host: String,
        /// The port.
        port: u16,
    },
    /// TCP.
    Tcp {
        /// Name or number of the host; without the brackets of IPv6.
        host: String,
        /// The port.
        port: u16,
    },
}

const DATAGRAM: &str = "dgram";
const STREAM: &str = "stream";

impl SyslogAddress {
    /// gunicorn's default on Linux.
    pub(crate) fn usual() -> Self {
        Self::Udp { host: "localhost".to_owned(), port: PORT }
    }

    fn text(&self, path_text: impl Fn(&PathBuf) -> String) -> String {
        match self {
            Self::Unix { path, kind } => {
                let kind = match kind {
                    None => String::new(),
                    Some(SyslogSocket::Datagram) => format!("#{DATAGRAM}"),
                    Some(SyslogSocket::Stream) => format!("#{STREAM}"),
                };
                format!("unix://{}{kind}", path_text(path))
            }
            Self::Udp { host, port } => format!("udp://{}", text_of_host_port(host, *port)),
            Self::Tcp { host, port } => format!("tcp://{}", text_of_host_port(host, *port)),
        }
    }
}

impl fmt::Display for SyslogAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text(|path| path.display().to_string()))
    }
}

impl Value for SyslogAddress {
    const RAW: bool = true;

    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        let network = |rest: &str| {
            // gunicorn takes an empty host for this machine.
            let rest = if rest.is_empty() { "localhost" } else { rest };
            read_host_port(rest, "localhost", PORT, refusal)
        };
        if let Some(rest) = text.strip_prefix("unix://") {
            return unix(rest);
        }
        if let Some(rest) = text.strip_prefix("udp://") {
            return network(rest).map(|(host, port)| Self::Udp { host, port });
        }
        if let Some(rest) = text.strip_prefix("tcp://") {
            return network(rest).map(|(host, port)| Self::Tcp { host, port });
        }
        Err(refusal(text))
    }

    fn texts(&self) -> Vec<String> {
        vec![self.text(|path| text_of(path.as_os_str()))]
    }
}

fn unix(text: &str) -> Result<SyslogAddress, String> {
    let (path, kind) = match text.rsplit_once('#') {
        Some((path, DATAGRAM)) => (path, Some(SyslogSocket::Datagram)),
        Some((path, STREAM)) => (path, Some(SyslogSocket::Stream)),
        Some((_, kind)) => return Err(format!("{kind:?} is neither {DATAGRAM} nor {STREAM}")),
        None => (text, None),
    };
    if path.is_empty() {
        return Err("a path is missing after unix://".to_owned());
    }
    Ok(SyslogAddress::Unix { path: PathBuf::from(bytes_of(path)), kind })
}

fn refusal(text: &str) -> String {
    format!(
        "cannot read {text:?} as an address; examples: unix:///dev/log, udp://localhost:514, \
         tcp://192.0.2.7:601"
    )
}

choice! {
    /// The facility of messages for syslog (RFC 5424, section 6.2.1).
    SyslogFacility, takes Arity::One;
    Kern = "kern", "the kernel";
    User = "user", "programs of users";
    Mail = "mail", "mail";
    Daemon = "daemon", "services";
    Auth = "auth" | "security", "authorization";
    Syslog = "syslog", "syslog itself";
    Lpr = "lpr", "printers";
    News = "news", "network news";
    Uucp = "uucp", "UUCP";
    Cron = "cron", "clocks";
    Authpriv = "authpriv", "authorization, private";
    Ftp = "ftp", "FTP";
    Local0 = "local0", "chosen by the operator";
    Local1 = "local1", "chosen by the operator";
    Local2 = "local2", "chosen by the operator";
    Local3 = "local3", "chosen by the operator";
    Local4 = "local4", "chosen by the operator";
    Local5 = "local5", "chosen by the operator";
    Local6 = "local6", "chosen by the operator";
    Local7 = "local7", "chosen by the operator";
}

impl SyslogFacility {
    /// The number of the facility in a message.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Kern => 0,
            Self::User => 1,
            Self::Mail => 2,
            Self::Daemon => 3,
            Self::Auth => 4,
            Self::Syslog => 5,
            Self::Lpr => 6,
            Self::News => 7,
            Self::Uucp => 8,
            Self::Cron => 9,
            Self::Authpriv => 10,
            Self::Ftp => 11,
            Self::Local0 => 16,
            Self::Local1 => 17,
            Self::Local2 => 18,
            Self::Local3 => 19,
            Self::Local4 => 20,
            Self::Local5 => 21,
            Self::Local6 => 22,
            Self::Local7 => 23,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gunicorns_forms_are_read() {
        for (text, written) in [
            ("udp://localhost:514", "udp://localhost:514"),
            ("udp://", "udp://localhost:514"),
            ("tcp://Logs.example", "tcp://logs.example:514"),
            ("tcp://[::1]:601", "tcp://[::1]:601"),
            ("unix:///dev/log", "unix:///dev/log"),
            ("unix:///dev/log#dgram", "unix:///dev/log#dgram"),
            ("unix://a#stream", "unix://a#stream"),
        ] {
            let read = SyslogAddress::parse(text, None).unwrap();
            assert_eq!(
                (read.texts(), read.to_string()),
                (vec![written.to_owned()], written.into())
            );
            assert_eq!(SyslogAddress::read(&read.texts(), None), Ok(read), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (text, part) in [
            ("", "examples: unix:///dev/log, udp://localhost:514"),
            ("/dev/log", "examples: unix:///dev/log, udp://localhost:514"),
            ("unix://", "a path is missing after unix://"),
            ("unix:///dev/log#seqpacket", "\"seqpacket\" is neither dgram nor stream"),
            ("udp://h:x", "\"x\" is not a port"),
        ] {
            let reason = SyslogAddress::parse(text, None).unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }

    #[test]
    fn facilities_have_the_numbers_of_syslog() {
        let code = |word: &str| SyslogFacility::parse(word, None).map(SyslogFacility::code);
        for (word, number) in [("user", 1), ("security", 4), ("FTP", 11), ("local7", 23)] {
            assert_eq!(code(word), Ok(number));
        }
        assert!(code("local8").unwrap_err().starts_with("\"local8\" is not one of kern, user,"));
    }
}
