//! The redirect from plain HTTP to https.

use std::net::IpAddr;

use monoceros_engine::{Address, Arrival, Decision, LocalResponse};
use monoceros_wire::listener::{ListenerAddress, ListenerDescription, Scheme};

use crate::arrived_request::{ArrivedRequest, DecisionPart};
use crate::challenge::is_challenge;
use crate::host_name::without_port;
use crate::plain::{plain, respond, with_field};

/// Redirects requests that arrive over plain HTTP to the same URL with https.
pub(crate) struct HttpsRedirect {
    /// The port of the https listener.
    port: u16,
}

impl HttpsRedirect {
    /// To the port of the https listener among these. One at the default port has precedence.
    /// Without one at a port, clients reach https at the default port by other means.
    pub(crate) fn to(listeners: &[ListenerDescription]) -> Self {
        let secure = listeners.iter().filter(|it| it.scheme == Scheme::Https);
        let ports = secure.filter_map(|it| match it.address {
            ListenerAddress::Internet(address) => Some(address.port()),
            ListenerAddress::Unix(_) => None,
        });
        let default = Scheme::Https.default_port();
        let ports: Vec<_> = ports.collect();
        let first = ports.first().copied().unwrap_or(default);
        Self { port: if ports.contains(&default) { default } else { first } }
    }

    /// The response to a request that did not arrive over https; `None` for others, and for
    /// challenges of ACME: an authority asks for them over plain HTTP, and a file server or the
    /// application may have them. 308 keeps method and body (RFC 9110 section 15.4.9).
    fn respond(&self, arrival: &Arrival) -> Option<LocalResponse> {
        let is_secure =
            Scheme::Https == arrival.scheme || Scheme::Https == arrival.connection_scheme;
        if is_secure || is_challenge(arrival.head) {
            return None;
        }
        let Some(location) = self.location(arrival) else {
            return Some(plain(400, "Bad Request"));
        };
        Some(with_field(plain(308, "Permanent Redirect"), b"Location", &location))
    }

    /// The same URL with https; `None` if the host is not known.
    fn location(&self, arrival: &Arrival) -> Option<Vec<u8>> {
        let mut location = b"https://".to_vec();
        match (arrival.head.host().map(without_port), arrival.local) {
            (Some(name @ [_, ..]), _) => location.extend_from_slice(name),
            // A client of HTTP/1.0 need not name the host (RFC 9112 section 3.2). It has
            // reached this end of the connection.
            (_, Address::Internet { ip: IpAddr::V6(_), host, .. }) => {
                location.extend_from_slice(format!("[{host}]").as_bytes());
            }
            (_, Address::Internet { host, .. }) => location.extend_from_slice(host.as_bytes()),
            (_, Address::Unix(_)) => return None,
        }
        if self.port != Scheme::Https.default_port() {
            location.extend_from_slice(format!(":{}", self.port).as_bytes());
        }
        let head = arrival.head;
        match head.target() {
            // The target of OPTIONS that means the server (RFC 9110 section 9.3.7).
            b"*" => {}
            target @ [b'/', ..] => location.extend_from_slice(target),
            _ => {
                location.extend_from_slice(head.path());
                if !head.query().is_empty() {
                    location.push(b'?');
                    location.extend_from_slice(head.query());
                }
            }
        }
        Some(location)
    }
}

impl DecisionPart for HttpsRedirect {
    fn decide(&self, request: &ArrivedRequest) -> Decision {
        respond(self.respond(request.arrival))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_requests::{arrival, head, internet};
    use monoceros_wire::listener::{ListenerOptions, UnixAddress};

    fn listener(scheme: Scheme, address: &str) -> ListenerDescription {
        let address = match address.parse() {
            Ok(address) => ListenerAddress::Internet(address),
            Err(_) => ListenerAddress::Unix(UnixAddress::Path(address.into())),
        };
        let (name, alpn, options) = (String::new(), Vec::new(), ListenerOptions::default());
        ListenerDescription { name, address, scheme, alpn, options, access: None }
    }

    fn location(port: u16, text: &str, local: &Address) -> Option<String> {
        let (head, peer) = (head(text), internet("127.0.0.1"));
        let arrival = Arrival { local, ..arrival(&head, &peer) };
        let location = HttpsRedirect { port }.location(&arrival)?;
        Some(String::from_utf8(location).unwrap())
    }

    #[test]
    fn host_path_and_query_stay() {
        for (request, expected) in [
            ("GET / HTTP/1.1\r\nHost: a.example", "https://a.example/"),
            ("GET /a%20b//c?d=e?f HTTP/1.1\r\nHost: a:8000", "https://a/a%20b//c?d=e?f"),
            ("GET /? HTTP/1.1\r\nHost: a:", "https://a/?"),
            ("GET //b HTTP/1.1\r\nHost: a", "https://a//b"),
            ("GET / HTTP/1.1\r\nHost: [2001:db8::7]:80", "https://[2001:db8::7]/"),
            ("GET http://b:80/c?d HTTP/1.1\r\nHost: a", "https://b/c?d"),
            ("GET http://b HTTP/1.1\r\nHost: a", "https://b/"),
            ("OPTIONS * HTTP/1.1\r\nHost: a", "https://a"),
            ("GET /a HTTP/1.0", "https://192.0.2.1/a"),
            ("GET /a HTTP/1.1\r\nHost:", "https://192.0.2.1/a"),
        ] {
            let request = format!("{request}\r\n\r\n");
            let found = location(443, &request, &internet("192.0.2.1"));
            assert_eq!(found.as_deref(), Some(expected), "{request:?}");
        }
        let found = location(8443, "GET /a HTTP/1.0\r\n\r\n", &internet("2001:db8::7"));
        assert_eq!(found.as_deref(), Some("https://[2001:db8::7]:8443/a"));
        let local = Address::Unix(UnixAddress::Unnamed);
        assert_eq!(location(443, "GET /a HTTP/1.0\r\n\r\n", &local), None);
    }

    #[test]
    fn the_port_is_that_of_a_https_listener() {
        let plain = listener(Scheme::Http, "127.0.0.1:80");
        let other = listener(Scheme::Https, "127.0.0.1:8443");
        let usual = listener(Scheme::Https, "[::]:443");
        let unix = listener(Scheme::Https, "/run/a");
        for (listeners, port) in [
            (vec![plain.clone(), other.clone()], 8443),
            (vec![unix.clone(), other.clone(), usual.clone()], 443),
            (vec![plain, unix], 443),
        ] {
            assert_eq!(HttpsRedirect::to(&listeners).port, port, "{listeners:?}");
        }
    }
}
