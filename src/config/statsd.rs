//! Types of settings: where figures are sent for StatsD, and what their lines have beside them.

use std::fmt;
use std::path::PathBuf;

use crate::host_port::{read_host_port, text_of_host_port};
use crate::raw::{bytes_of, text_of};
use crate::row::Bounds;
use crate::value::Value;

/// The default port of StatsD, as in gunicorn.
const PORT: u16 = 8125;

/// The socket to which datagrams for StatsD are sent. As text: `HOST:PORT`, `unix://PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatsdAddress {
    /// UDP.
    Udp {
        /// Name or number of the host; without the brackets of IPv6.
        host: String,
        /// The port.
        port: u16,
    },
    /// A unix socket for datagrams.
    Unix(PathBuf),
}

impl fmt::Display for StatsdAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp { host, port } => out.write_str(&text_of_host_port(host, *port)),
            Self::Unix(path) => write!(out, "unix://{}", path.display()),
        }
    }
}

impl Value for StatsdAddress {
    const RAW: bool = true;
    const NONE: &'static [&'static str] = &["none", "off", "false"];

    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err("a path is missing after unix:".to_owned());
            }
            return Ok(Self::Unix(PathBuf::from(bytes_of(path))));
        }
        let text = text.strip_prefix("udp://").unwrap_or(text);
        let (host, port) = read_host_port(text, "127.0.0.1", PORT, refusal)?;
        Ok(Self::Udp { host, port })
    }

    fn texts(&self) -> Vec<String> {
        vec![match self {
            Self::Udp { .. } => self.to_string(),
            Self::Unix(path) => format!("unix://{}", text_of(path.as_os_str())),
        }]
    }
}

fn refusal(text: &str) -> String {
    format!("cannot read {text:?} as an address; examples: 127.0.0.1:8125, unix:///run/statsd.sock")
}

/// What the names of figures begin with; it may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatsdPrefix(pub String);

impl StatsdPrefix {
    /// The beginning of a line: the prefix with one dot behind it, or nothing.
    #[must_use]
    pub fn text(&self) -> String {
        match self.0.trim_end_matches('.') {
            "" => String::new(),
            prefix => format!("{prefix}."),
        }
    }
}

impl Value for StatsdPrefix {
    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        check_letters(text, ":|@#")?;
        Ok(Self(text.to_owned()))
    }

    fn texts(&self) -> Vec<String> {
        if self.0.is_empty() { Vec::new() } else { vec![self.0.clone()] }
    }
}

/// Tags of DogStatsD: `tag1:value1,tag2:value2`; there may be none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatsdTags(pub String);

impl Value for StatsdTags {
    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        check_letters(text, "|#")?;
        Ok(Self(text.to_owned()))
    }

    fn texts(&self) -> Vec<String> {
        if self.0.is_empty() { Vec::new() } else { vec![self.0.clone()] }
    }
}

/// Fails if a text has letters that end a part of a line for StatsD.
fn check_letters(text: &str, separators: &str) -> Result<(), String> {
    let is_foreign = |letter: &char| !letter.is_ascii_graphic() || separators.contains(*letter);
    match text.chars().find(is_foreign) {
        Some(letter) => {
            Err(format!("{text:?} has {letter:?} in it, which the protocol does not allow"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gunicorns_forms_are_read() {
        for (text, written) in [
            ("localhost:8125", "localhost:8125"),
            ("10.0.0.7", "10.0.0.7:8125"),
            ("[::1]:9", "[::1]:9"),
            ("udp://h:1", "h:1"),
            (":8126", "127.0.0.1:8126"),
            ("unix:///run/statsd", "unix:///run/statsd"),
            ("unix:statsd", "unix://statsd"),
        ] {
            let read = StatsdAddress::parse(text, None).unwrap();
            assert_eq!(read.texts(), [written], "{text}");
            assert_eq!(StatsdAddress::read(&read.texts(), None), Ok(read));
        }
        assert_eq!(Option::<StatsdAddress>::parse("none", None), Ok(None));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (text, part) in [
            ("", "must not be empty"),
            ("unix://", "a path is missing"),
            ("h:port", "\"port\" is not a port"),
            ("8125", "write :8125"),
            ("tcp://h:1", "examples: 127.0.0.1:8125, unix:///run/statsd.sock"),
            ("::1:8125", "an IPv6 address needs brackets"),
        ] {
            let reason = StatsdAddress::parse(text, None).unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }

    #[test]
    fn a_prefix_gets_one_dot_and_no_separator() {
        for (text, written) in [("", ""), ("shop", "shop."), ("a.b..", "a.b.")] {
            assert_eq!(StatsdPrefix::parse(text, None).unwrap().text(), written);
        }
        assert!(StatsdTags::parse("env:prod,region:eu", None).is_ok());
        for text in ["a:b", "a b", "a|b", "ä"] {
            let reason = StatsdPrefix::parse(text, None).unwrap_err();
            assert!(reason.contains("which the protocol does not allow"), "{reason}");
        }
        assert!(
            StatsdTags::parse("a:b\n", None).is_err() && StatsdTags::parse("#a", None).is_err()
        );
    }
}
