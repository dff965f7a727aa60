//! The names that clients may use for this server. A request for another name is refused: an
//! application that makes URLs from the name would send its visitors to the other server.

use std::net::Ipv6Addr;

use monoceros_config::{AllowedHosts, EmptyHost, HostPattern, WorkerSettings};
use monoceros_engine::{Decision, LocalResponse};
use monoceros_http::Head;
use monoceros_wire::scoreboard::GivenUp;

use crate::arrived_request::{ArrivedRequest, DecisionPart};
use crate::host_name::without_port;
use crate::plain::plain;

/// The setting `allowed-hosts`, and the names that it stands for.
pub(crate) struct HostCheck {
    names: Vec<HostName>,
    /// A request that names no host is allowed.
    allows_none: bool,
    misdirected: LocalResponse,
}

/// A name of a host, or several of them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum HostName {
    /// This one.
    One(String),
    /// Those that end so: a dot, and the name that they are below.
    Below(String),
    /// This IPv6 address, however it is written.
    Ipv6(Ipv6Addr),
}

impl HostName {
    fn new(pattern: &HostPattern) -> Self {
        let without_dot = |name: &str| name.strip_suffix('.').unwrap_or(name).to_owned();
        match pattern {
            HostPattern::Name(name) => match ipv6(name.as_bytes()) {
                Some(address) => Self::Ipv6(address),
                None => Self::One(without_dot(name)),
            },
            HostPattern::Subdomains(name) => Self::Below(format!(".{}", without_dot(name))),
        }
    }

    /// Whether a name without a port is one of them.
    fn has(&self, name: &[u8]) -> bool {
        match self {
            Self::One(own) => name.eq_ignore_ascii_case(own.as_bytes()),
            Self::Below(end) => {
                let begin = name.len().checked_sub(end.len());
                // A label stands before the dot.
                begin.is_some_and(|at| at > 0 && name[at..].eq_ignore_ascii_case(end.as_bytes()))
            }
            Self::Ipv6(own) => ipv6(name) == Some(*own),
        }
    }
}

/// The address in an IP literal (`[::1]`).
fn ipv6(name: &[u8]) -> Option<Ipv6Addr> {
    let inner = name.strip_prefix(b"[")?.strip_suffix(b"]")?;
    std::str::from_utf8(inner).ok()?.parse().ok()
}

impl HostCheck {
    /// The check that the settings ask for, if they ask for one. With `auto` the hosts are those
    /// of the application; `None` if it allows each one.
    pub(crate) fn of(settings: &WorkerSettings, project_hosts: Option<&[String]>) -> Option<Self> {
        let empty = *settings.allowed_hosts_empty();
        match settings.allowed_hosts() {
            AllowedHosts::Off => None,
            AllowedHosts::Auto => project_hosts.map(|hosts| Self::new(&read(hosts), empty)),
            AllowedHosts::Names(patterns) => Some(Self::new(patterns, empty)),
        }
    }

    fn new(patterns: &[HostPattern], empty: EmptyHost) -> Self {
        Self {
            names: patterns.iter().map(HostName::new).collect(),
            allows_none: empty == EmptyHost::Allow,
            misdirected: plain(421, "Misdirected Request"),
        }
    }

    /// Why a request is refused; `None` if it is allowed. In absolute form the authority is the
    /// host (RFC 9112 section 3.2.2), and Host must be allowed too: an application may look at
    /// either.
    fn refusal(&self, head: &Head) -> Option<String> {
        let field = head.field(b"host").filter(|host| !host.is_empty());
        let authority = head.host().filter(|host| !host.is_empty());
        let mut hosts = authority.into_iter().chain(field);
        if let Some(host) = hosts.find(|host| !is_among(&self.names, host)) {
            return Some(format!("host {} is not in allowed-hosts", host.escape_ascii()));
        }
        let is_refused = field.is_none() && !self.allows_none;
        is_refused.then(|| "it names no host".to_owned())
    }
}

/// Reads the hosts that an application allows. What is no host cannot be requested.
fn read(hosts: &[String]) -> Vec<HostPattern> {
    let read = |host: &String| match host.parse() {
        Ok(pattern) => Some(pattern),
        Err(reason) => {
            log::warn!("allowed-hosts: auto leaves out a host of the application: {reason}");
            None
        }
    };
    hosts.iter().filter_map(read).collect()
}

/// Whether a host, with or without a port, is one of these.
fn is_among(names: &[HostName], host: &[u8]) -> bool {
    let name = without_port(host);
    // A name with a dot at its end is the same (RFC 1034 section 3.1).
    let name = name.strip_suffix(b".").unwrap_or(name);
    names.iter().any(|it| it.has(name))
}

impl DecisionPart for HostCheck {
    fn decide(&self, request: &ArrivedRequest) -> Decision {
        let Some(reason) = self.refusal(request.arrival.head) else { return Decision::Pass };
        let (kind, response) = (GivenUp::Misdirected, self.misdirected.clone());
        Decision::Refuse { kind, response, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_requests::head;

    /// A server for example.org, the subdomains of example.com, and two addresses.
    fn check(empty: EmptyHost) -> HostCheck {
        let name = |name: &str| HostPattern::Name(name.to_owned());
        let names = vec![
            name("example.org"),
            HostPattern::Subdomains("example.com".to_owned()),
            name("192.0.2.1"),
            name("[2001:db8::7]"),
        ];
        HostCheck::new(&names, empty)
    }

    fn allows(check: &HostCheck, text: &str) -> bool {
        check.refusal(&head(&format!("{text}\r\n\r\n"))).is_none()
    }

    #[test]
    fn names_are_compared_without_case_port_and_last_dot() {
        let check = check(EmptyHost::Refuse);
        for (host, is_allowed) in [
            ("example.org", true),
            ("EXAMPLE.org:8000", true),
            ("example.org.", true),
            ("example.org.:80", true),
            ("example.org:", true),
            ("example.org..", false),
            ("www.example.org", false),
            ("xexample.org", false),
            ("example.org.evil.example", false),
            ("example.com", false),
            ("a.example.com", true),
            ("a.b.Example.Com:443", true),
            (".example.com", false),
            ("aexample.com", false),
            ("example.com.evil.example", false),
            ("192.0.2.1:8000", true),
            ("192.0.2.10", false),
            ("[2001:db8::7]", true),
            ("[2001:DB8:0::7]:80", true),
            ("[2001:db8::8]", false),
            ("exam%70le.org", false),
            ("localhost", false),
        ] {
            let text = format!("GET / HTTP/1.1\r\nHost: {host}");
            assert_eq!(allows(&check, &text), is_allowed, "{host}");
        }
    }

    #[test]
    fn in_absolute_form_both_names_must_be_allowed() {
        let check = check(EmptyHost::Refuse);
        for (authority, host, is_allowed) in [
            ("example.org", "example.org", true),
            ("example.org", "a.example.com", true),
            ("example.org:80", "evil.example", false),
            ("evil.example", "example.org", false),
        ] {
            let text = format!("GET http://{authority}/ HTTP/1.1\r\nHost: {host}");
            assert_eq!(allows(&check, &text), is_allowed, "{text}");
        }
    }

    #[test]
    fn a_request_without_a_host_is_allowed_only_by_its_own_setting() {
        for (empty, is_allowed) in [(EmptyHost::Refuse, false), (EmptyHost::Allow, true)] {
            let check = check(empty);
            for text in [
                "GET / HTTP/1.0",
                "GET / HTTP/1.1\r\nHost:",
                "GET http://example.org/ HTTP/1.0",
                "OPTIONS * HTTP/1.0",
            ] {
                assert_eq!(allows(&check, text), is_allowed, "{text} {empty:?}");
            }
            assert!(!allows(&check, "GET http://evil.example/ HTTP/1.0"));
        }
    }

    #[test]
    fn the_hosts_of_an_application_are_read_as_those_of_the_setting() {
        let hosts = ["a.example", "*.a.example", "[::1]", "no host"].map(str::to_owned);
        let check = HostCheck::new(&read(&hosts), EmptyHost::Refuse);
        for (host, is_allowed) in
            [("a.example", true), ("x.a.example", true), ("[0::1]:80", true), ("b.example", false)]
        {
            assert_eq!(allows(&check, &format!("GET / HTTP/1.1\r\nHost: {host}")), is_allowed);
        }
        let check = HostCheck::new(&read(&[]), EmptyHost::Refuse);
        assert!(!allows(&check, "GET / HTTP/1.1\r\nHost: a.example"));
    }
}
