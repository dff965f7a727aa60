//! The metrics of the whole server, at a path of the settings. The master makes them.

use std::io;

use monoceros_config::{AddressSet, RealIp, WorkerSettings};
use monoceros_engine::{Address, Decision, LocalResponse, MasterLine};
use monoceros_http::{Head, percent_decoded};
use monoceros_sys::reason;
use monoceros_wire::scoreboard::GivenUp;

use crate::arrived_request::{ArrivedRequest, DecisionPart};
use crate::forwarding_fields::is_forwarded;
use crate::plain::{is_read, only_read, plain, respond, with_field};

/// The most of Accept that the master is sent, in bytes.
const ACCEPT_LIMIT: usize = 1024;

/// Responds with the metrics.
pub(crate) struct MetricsPath {
    path: Vec<u8>,
    /// The clients that may read them; `None` for those on this machine.
    allowed: Option<AddressSet>,
    /// The address of the client is the one that a proxy reports.
    knows_clients: bool,
    line: MasterLine,
}

impl MetricsPath {
    /// At the path of the settings, if there is one.
    pub(crate) fn of(settings: &WorkerSettings, line: Option<&MasterLine>) -> Option<Self> {
        let path = settings.metrics_path().as_ref()?;
        let allowed = settings.metrics_allow().as_ref().map(|set| set.0.clone());
        let path = percent_decoded(path.0.as_bytes()).into_owned();
        let knows_clients = *settings.real_ip() != RealIp::Off;
        Some(Self { path, allowed, knows_clients, line: line?.clone() })
    }

    /// Whether a client may read them. Without a list that is a client at a loopback address. A
    /// proxy on this machine has one too, and stands for any client; so does usually the client of
    /// a unix socket.
    fn allows(&self, client: &Address, head: &Head) -> bool {
        match (&self.allowed, client) {
            (Some(set), Address::Internet { ip, .. }) => set.contains(*ip),
            (Some(set), Address::Unix(_)) => set.contains_unix(),
            (None, Address::Internet { ip, .. }) => {
                ip.to_canonical().is_loopback() && (self.knows_clients || !is_forwarded(head))
            }
            (None, Address::Unix(_)) => false,
        }
    }
}

impl DecisionPart for MetricsPath {
    fn decide(&self, request: &ArrivedRequest) -> Decision {
        let head = request.arrival.head;
        if !request.is_at(&self.path) {
            return Decision::Pass;
        }
        if !self.allows(request.arrival.peer, head) {
            let why = if self.allowed.is_some() { "not in" } else { "not on this machine, and no" };
            let reason = format!("metrics-path: the client is {why} metrics-allow");
            let (kind, response) = (GivenUp::Denied, plain(404, "Not Found"));
            return Decision::Refuse { kind, response, reason };
        }
        if !is_read(head) {
            return respond(Some(only_read()));
        }
        let (line, accept) = (self.line.clone(), accept(head));
        // The master replies over the channel, which the I/O thread must be free to read.
        Decision::Later(Box::new(move || match ask(&line, accept) {
            Ok(response) => respond(Some(response)),
            Err(error) => {
                let (kind, response) = (GivenUp::Unreadable, plain(503, "Service Unavailable"));
                let why = match error.kind() {
                    io::ErrorKind::TimedOut => "the master does not reply".to_owned(),
                    io::ErrorKind::WouldBlock => "too many requests for metrics".to_owned(),
                    _ => reason(&error),
                };
                Decision::Refuse { kind, response, reason: format!("metrics-path: {why}") }
            }
        }))
    }
}

fn ask(line: &MasterLine, accept: String) -> io::Result<LocalResponse> {
    let reply = line.ask_metrics(accept)?;
    let content_type = reply.content_type.clone();
    let response = LocalResponse::new(200).body(reply.read()?);
    let response = with_field(response, b"Content-Type", content_type.as_bytes());
    let response = with_field(response, b"X-Content-Type-Options", b"nosniff");
    Ok(with_field(response, b"Cache-Control", b"no-store"))
}

/// The Accept fields of a request as one.
fn accept(head: &Head) -> String {
    let fields = head.fields().filter(|(name, _)| name.eq_ignore_ascii_case(b"accept"));
    let values: Vec<_> = fields.map(|(_, value)| value).collect();
    let mut joined = values.join(&b", "[..]);
    joined.truncate(ACCEPT_LIMIT);
    String::from_utf8_lossy(&joined).into_owned()
}

#[cfg(test)]
mod tests {
    use monoceros_wire::channel::pair;
    use monoceros_wire::listener::UnixAddress;

    use super::*;
    use crate::test_requests::{head, internet};

    fn part(allowed: Option<&str>, knows_clients: bool) -> MetricsPath {
        let set = |text: &str| AddressSet {
            all: false,
            networks: vec![text.parse().unwrap()],
            unix: false,
        };
        let (_, worker) = pair().unwrap();
        let line = MasterLine::new(worker);
        let (path, allowed) = (b"/metrics".to_vec(), allowed.map(set));
        MetricsPath { path, allowed, knows_clients, line }
    }

    #[test]
    fn without_a_list_only_this_machine_is_allowed() {
        for (client, alone, listed) in [
            ("127.0.0.1", true, false),
            ("::ffff:127.0.0.7", true, false),
            ("::1", true, false),
            ("10.0.0.1", false, true),
            ("192.0.2.1", false, false),
        ] {
            let (client, plain) = (internet(client), head("GET / HTTP/1.0\r\n\r\n"));
            let forwarded = head("GET / HTTP/1.0\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
            let list = Some("10.0.0.0/8");
            assert_eq!(part(None, false).allows(&client, &plain), alone, "{client:?}");
            assert!(!part(None, false).allows(&client, &forwarded), "a proxy stands for others");
            assert_eq!(part(None, true).allows(&client, &forwarded), alone, "{client:?}");
            assert_eq!(part(list, false).allows(&client, &plain), listed, "{client:?}");
        }
        let unix = Address::Unix(UnixAddress::Unnamed);
        assert!(!part(None, true).allows(&unix, &head("GET / HTTP/1.0\r\n\r\n")));
    }

    #[test]
    fn the_fields_of_accept_are_joined_and_cut() {
        let text = "GET / HTTP/1.1\r\nHost: a\r\nAccept: a/b\r\naccept: c/d;q=0.1\r\n\r\n";
        assert_eq!(accept(&head(text)), "a/b, c/d;q=0.1");
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nAccept: {}\r\n\r\n", "x".repeat(2000));
        assert_eq!(accept(&head(&long)).len(), ACCEPT_LIMIT);
    }
}
