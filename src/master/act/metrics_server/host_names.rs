//! The names under which a browser may read what shows requests and clients.
//!
//! A site can have its own name resolve to the address of this machine, and so have its script
//! read a response as if it were the site's own (DNS rebinding). The script cannot choose the Host
//! field, which has the name of the site. So only names are allowed that no site can have.
//! Called by the routes.

use std::net::{IpAddr, Ipv4Addr};

use monoceros_config::Bind;
use monoceros_http::Head;

/// Whether all names of a request are allowed: addresses, localhost, and the names of the
/// metrics addresses as the settings have them. No browser sends a request without a name.
pub(super) fn allows(head: &Head, addresses: &[Bind]) -> bool {
    let named = [head.host(), head.field(b"host")];
    named.into_iter().flatten().all(|host| is_allowed(host, addresses))
}

fn is_allowed(host: &[u8], addresses: &[Bind]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = without_port(host);
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name.is_empty()
        || name.starts_with('[')
        || name.parse::<Ipv4Addr>().is_ok()
        // Resolved by the browser itself (RFC 6761 section 6.3).
        || name == "localhost"
        || name.ends_with(".localhost")
        || addresses.iter().any(|address| is_of(&name, address))
}

/// Whether a name is the host of an address.
fn is_of(name: &str, address: &Bind) -> bool {
    match address {
        Bind::Tcp { host, .. } => host.parse::<IpAddr>().is_err() && host == name,
        Bind::Unix(_) | Bind::Abstract(_) | Bind::Fd(_) => false,
    }
}

/// A host, whose syntax is checked, without its port.
fn without_port(host: &str) -> &str {
    if host.starts_with('[') {
        return host;
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use monoceros_http::Limits;

    use super::*;

    #[test]
    fn only_names_are_allowed_that_no_site_can_have() {
        let addresses: Vec<Bind> = ["monitor.example:9180", "0.0.0.0:9180", "unix:/run/a"]
            .map(|it| it.parse().unwrap())
            .into();
        for (lines, is_it) in [
            ("GET / HTTP/1.1\r\nHost: 127.0.0.1:9180", true),
            ("GET / HTTP/1.1\r\nHost: 10.1.2.3", true),
            ("GET / HTTP/1.1\r\nHost: [::1]:9180", true),
            ("GET / HTTP/1.1\r\nHost: LOCALHOST:80", true),
            ("GET / HTTP/1.1\r\nHost: localhost.", true),
            ("GET / HTTP/1.1\r\nHost: app.localhost", true),
            ("GET / HTTP/1.1\r\nHost: Monitor.example:1", true),
            ("GET / HTTP/1.1\r\nHost:", true),
            ("GET / HTTP/1.0", true),
            ("GET / HTTP/1.1\r\nHost: evil.example", false),
            ("GET / HTTP/1.1\r\nHost: localhost.evil.example", false),
            ("GET / HTTP/1.1\r\nHost: 127.0.0.1.evil.example", false),
            ("GET / HTTP/1.1\r\nHost: xlocalhost", false),
            ("GET / HTTP/1.1\r\nHost: x.monitor.example", false),
            ("GET / HTTP/1.1\r\nHost: 127.1", false),
            ("GET / HTTP/1.1\r\nHost: 2130706433", false),
            ("GET http://evil.example/ HTTP/1.1\r\nHost: localhost", false),
            ("GET http://localhost/ HTTP/1.1\r\nHost: evil.example", false),
        ] {
            let limits = Limits { request_line: 100, fields: 10, field_size: 100 };
            let mut head = Head::new();
            head.read(format!("{lines}\r\n\r\n").as_bytes(), &limits).unwrap().unwrap();
            assert_eq!(allows(&head, &addresses), is_it, "{lines}");
        }
    }
}
