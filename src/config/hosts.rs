//! Types of settings: the hosts for which requests are served.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::choice::choice;
use crate::row::{Arity, Bounds};
use crate::value::{Value, alone_if_none};

choice! {
    /// What happens to a request that names no host.
    EmptyHost, takes Arity::One;
    Refuse = "refuse", "it is answered 421";
    Allow = "allow", "it is served";
}

/// The hosts for which requests are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedHosts {
    /// Every host.
    Off,
    /// Those of the application's own setting: `ALLOWED_HOSTS` of Django.
    Auto,
    /// These; the list is not empty.
    Names(Vec<HostPattern>),
}

/// A host, or the hosts below one. As text: `example.org`, `*.example.org`, `[::1]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// The host of this name, in lower case; an IPv6 address has brackets.
    Name(String),
    /// Every host below this name, and not the name itself.
    Subdomains(String),
}

const OFF: [&str; 3] = ["off", "none", "false"];
const AUTO: &str = "auto";

/// The words, with their meanings.
pub(crate) const CHOICES: [(&str, &str); 2] =
    [(OFF[0], "every host"), (AUTO, "those of `ALLOWED_HOSTS` in the loaded Django project")];

impl HostPattern {
    /// Whether a host is meant: in lower case, without a port and without a dot at its end.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Name(name) => host == name,
            Self::Subdomains(name) => {
                let below = host.strip_suffix(name.as_str());
                below.is_some_and(|below| below.len() > 1 && below.ends_with('.'))
            }
        }
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Err("* allows every host, which off does too".to_owned());
        }
        if let Some(name) = text.strip_prefix('.') {
            return Err(format!("{text:?} is not a host; write {name},*.{name}"));
        }
        match text.strip_prefix("*.") {
            Some(name) => domain(text, name).map(Self::Subdomains),
            None => host(text).map(Self::Name),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => out.write_str(name),
            Self::Subdomains(name) => write!(out, "*.{name}"),
        }
    }
}

impl Value for AllowedHosts {
    const TAKES: Arity = Arity::List;

    fn parse(text: &str, range: Bounds) -> Result<Self, String> {
        Self::read(&[text.to_owned()], range)
    }

    fn texts(&self) -> Vec<String> {
        match self {
            Self::Off => vec![OFF[0].to_owned()],
            Self::Auto => vec![AUTO.to_owned()],
            Self::Names(names) => {
                let names: Vec<_> = names.iter().map(HostPattern::to_string).collect();
                vec![names.join(",")]
            }
        }
    }

    fn read(texts: &[String], _: Bounds) -> Result<Self, String> {
        let words = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
        let words: Vec<_> = words.filter(|word| !word.is_empty()).map(str::to_owned).collect();
        alone_if_none(&words, &OFF)?;
        alone_if_none(&words, &[AUTO])?;
        match words.first().map(String::as_str) {
            None => Err("names no host; off allows every host".to_owned()),
            Some(AUTO) => Ok(Self::Auto),
            Some(word) if OFF.contains(&word) => Ok(Self::Off),
            Some(_) => {
                words.iter().map(|word| word.parse()).collect::<Result<_, _>>().map(Self::Names)
            }
        }
    }
}

/// Reads a name or an address, as requests name it.
fn host(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<Ipv6Addr>() {
        return Ok(format!("[{address}]"));
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(address.to_string());
    }
    domain(text, text)
}

/// Reads a domain name; `text` is the whole word for an error.
fn domain(text: &str, name: &str) -> Result<String, String> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if !name.is_ascii() {
        return Err(format!("{text:?} is not ASCII; write it as requests have it (xn--...)"));
    }
    if let Some((name, port)) = name.split_once(':')
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(format!("{text:?} has a port; write {name}, which covers every port"));
    }
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_letter);
    if name.split('.').all(is_label) {
        Ok(name)
    } else {
        Err(format!(
            "{text:?} is not a host; examples: example.org, *.example.org, 192.0.2.7, [::1]"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(text: &str) -> Result<AllowedHosts, String> {
        AllowedHosts::parse(text, None)
    }

    #[test]
    fn hosts_are_names_or_words() {
        for (text, written) in [
            ("off", "off"),
            ("none", "off"),
            ("false", "off"),
            ("auto", "auto"),
            ("Example.ORG., *.example.net", "example.org,*.example.net"),
            ("127.0.0.1,::1,[0:0::2]", "127.0.0.1,[::1],[::2]"),
            ("localhost,my_host", "localhost,my_host"),
        ] {
            let read = hosts(text).unwrap();
            assert_eq!(read.texts(), [written], "{text}");
            assert_eq!(AllowedHosts::read(&read.texts(), None), Ok(read));
        }
    }

    #[test]
    fn a_pattern_covers_what_is_below_a_name() {
        let matches =
            |pattern: &str, host: &str| pattern.parse::<HostPattern>().unwrap().matches(host);
        for (pattern, host, expected) in [
            ("example.org", "example.org", true),
            ("example.org", "www.example.org", false),
            ("*.example.org", "www.example.org", true),
            ("*.example.org", "a.b.example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", ".example.org", false),
            ("*.example.org", "notexample.org", false),
            ("[::1]", "[::1]", true),
        ] {
            assert_eq!(matches(pattern, host), expected, "{pattern} {host}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for (text, part) in [
            ("", "names no host; off allows every host"),
            ("*", "* allows every host, which off does too"),
            (".example.org", "write example.org,*.example.org"),
            ("example.org:8000", "has a port; write example.org, which"),
            ("https://example.org", "is not a host; examples: example.org, *.example.org"),
            ("a..b", "is not a host"),
            ("www.*.org", "is not a host"),
            ("*.", "is not a host"),
            ("b\u{fc}cher.example", "is not ASCII; write it as requests have it (xn--...)"),
            ("auto,example.org", "auto cannot stand beside other values"),
            ("example.org,off", "off cannot stand beside other values"),
        ] {
            let reason = hosts(text).unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }
}
