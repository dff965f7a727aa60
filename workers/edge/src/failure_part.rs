//! Shows browsers why code of the application cannot be loaded (`reload`).

use std::net::IpAddr;

use monoceros_engine::{Address, CodeFailure, CurrentFailure, Decision, LocalResponse};
use monoceros_http::{Head, MediaRange};
use monoceros_wire::listener::{ListenerAddress, ListenerDescription};

use crate::arrived_request::{ArrivedRequest, DecisionPart};
use crate::failure_page;
use crate::forwarding_fields::is_forwarded;
use crate::host_name::without_port;
use crate::plain::{is_read, respond, with_field};

/// The body where the traceback is not shown.
const NO_DETAILS: &str = "the application cannot be loaded; the error log has the reason\n";

/// What a client gets while code of the application cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FailureForm {
    /// A page with the traceback.
    Page,
    /// The traceback.
    Text,
    /// A sentence without a detail.
    NoDetails,
    /// What the old code responds.
    Application,
}

/// Responds to requests while code of the application cannot be loaded. The traceback shows code,
/// so only clients on this machine get it, and only of an application in debug mode.
pub(crate) struct FailurePart {
    failure: CodeFailure,
    /// Which listeners are at loopback addresses, in the order of the engine.
    are_loopback: Vec<bool>,
}

impl FailurePart {
    /// For these listeners.
    pub(crate) fn new(listeners: &[ListenerDescription], failure: &CodeFailure) -> Self {
        let is_loopback = |it: &ListenerDescription| match &it.address {
            ListenerAddress::Internet(address) => address.ip().to_canonical().is_loopback(),
            ListenerAddress::Unix(_) => false,
        };
        let are_loopback = listeners.iter().map(is_loopback).collect();
        Self { failure: failure.clone(), are_loopback }
    }

    /// What the client of this request gets.
    fn form(&self, failure: &CurrentFailure, request: &ArrivedRequest) -> FailureForm {
        let shows = failure.is_debugged && self.is_local(request);
        if shows && is_navigation(request.arrival.head) {
            FailureForm::Page
        } else if !failure.is_total {
            FailureForm::Application
        } else if shows {
            FailureForm::Text
        } else {
            FailureForm::NoDetails
        }
    }

    /// Whether both ends of the connection are this machine's, and the client has named it so. A
    /// name of another host that leads to a loopback address is one that a foreign page has chosen
    /// (DNS rebinding).
    fn is_local(&self, request: &ArrivedRequest) -> bool {
        let arrival = request.arrival;
        let is_client_local = match arrival.peer {
            Address::Internet { ip, .. } => ip.to_canonical().is_loopback(),
            Address::Unix(_) => false,
        };
        self.are_loopback.get(arrival.listener).is_some_and(|it| *it)
            && is_client_local
            && !is_forwarded(arrival.head)
            && arrival.head.host().map(without_port).is_some_and(is_local_name)
    }
}

impl DecisionPart for FailurePart {
    fn decide(&self, request: &ArrivedRequest) -> Decision {
        let Some(failure) = self.failure.current() else { return Decision::Pass };
        let (body, media_type): (_, &[u8]) = match self.form(&failure, request) {
            FailureForm::Page => (failure_page::html(&failure.text), b"text/html; charset=utf-8"),
            FailureForm::Text => (format!("{}\n", failure.text), b"text/plain; charset=utf-8"),
            FailureForm::NoDetails => (NO_DETAILS.to_owned(), b"text/plain; charset=utf-8"),
            FailureForm::Application => return Decision::Pass,
        };
        respond(Some(response(body.into_bytes(), media_type)))
    }
}

fn response(body: Vec<u8>, media_type: &[u8]) -> LocalResponse {
    let response = LocalResponse::new(500).body(body);
    let response = with_field(response, b"Content-Type", media_type);
    let response = with_field(response, b"X-Content-Type-Options", b"nosniff");
    with_field(response, b"Cache-Control", b"no-store")
}

/// Whether a browser asks for a page. Scripts of a page usually accept anything, and browsers
/// mark their requests by `Sec-Fetch-Mode` (W3C Fetch Metadata).
fn is_navigation(head: &Head) -> bool {
    let values = |wanted: &'static [u8]| {
        head.fields()
            .filter(move |(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value)
    };
    is_read(head)
        && MediaRange::all_of(values(b"accept")).any(|it| it.is(b"text/html") && it.quality() > 0)
        && values(b"sec-fetch-mode").all(|mode| mode == b"navigate")
}

fn is_local_name(host: &[u8]) -> bool {
    let name = String::from_utf8_lossy(host).to_ascii_lowercase();
    let name = name.trim_end_matches('.');
    let is_address = |text: &str| text.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    name == "localhost"
        || name.ends_with(".localhost")
        || is_address(name.trim_start_matches('[').trim_end_matches(']'))
}

#[cfg(test)]
mod tests {
    use monoceros_http::PathPrefix;
    use monoceros_wire::listener::{ListenerOptions, Scheme};

    use super::*;
    use crate::test_requests::{arrival, head, internet};

    const BROWSER: &str = "Host: localhost:8000\r\nAccept: text/html,*/*;q=0.8";

    fn listener(address: &str) -> ListenerDescription {
        ListenerDescription {
            name: String::new(),
            address: ListenerAddress::Internet(address.parse().unwrap()),
            scheme: Scheme::Http,
            alpn: Vec::new(),
            options: ListenerOptions::default(),
            access: None,
        }
    }

    fn form(part: &FailurePart, request: &str, client: &str, is_total: bool) -> FailureForm {
        let (head, peer) = (head(&format!("{request}\r\n\r\n")), internet(client));
        let arrival = arrival(&head, &peer);
        let failure = CurrentFailure { is_total, ..part.failure.current().unwrap() };
        part.form(&failure, &ArrivedRequest::new(&arrival, &PathPrefix::new(b"")))
    }

    fn part(address: &str, is_debugged: bool) -> FailurePart {
        let failure = CodeFailure::default();
        failure.note_loaded(Some("NameError: a".to_owned()), is_debugged);
        FailurePart::new(&[listener(address)], &failure)
    }

    #[test]
    fn only_a_browser_on_this_machine_gets_the_page() {
        let part = part("127.0.0.1:8000", true);
        for (request, client, expected) in [
            (format!("GET / HTTP/1.1\r\n{BROWSER}"), "127.0.0.1", FailureForm::Page),
            (format!("HEAD / HTTP/1.1\r\n{BROWSER}"), "127.0.0.1", FailureForm::Page),
            (
                format!("GET / HTTP/1.1\r\n{BROWSER}\r\nSec-Fetch-Mode: navigate"),
                "::1",
                FailureForm::Page,
            ),
            (
                format!("GET / HTTP/1.1\r\n{BROWSER}\r\nSec-Fetch-Mode: cors"),
                "::1",
                FailureForm::Text,
            ),
            (
                format!("POST / HTTP/1.1\r\nContent-Length: 0\r\n{BROWSER}"),
                "::1",
                FailureForm::Text,
            ),
            (format!("GET / HTTP/1.1\r\n{BROWSER}"), "192.0.2.1", FailureForm::NoDetails),
            (
                format!("GET / HTTP/1.1\r\n{BROWSER}\r\nX-Forwarded-For: a"),
                "::1",
                FailureForm::NoDetails,
            ),
            (
                "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*".to_owned(),
                "::1",
                FailureForm::Text,
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html".to_owned(),
                "::1",
                FailureForm::NoDetails,
            ),
        ] {
            assert_eq!(form(&part, &request, client, true), expected, "{request:?}");
            let is_page = expected == FailureForm::Page;
            let of_old_code = if is_page { expected } else { FailureForm::Application };
            assert_eq!(form(&part, &request, client, false), of_old_code, "{request:?}");
        }
    }

    #[test]
    fn the_page_needs_debug_mode_and_a_loopback_listener() {
        let request = format!("GET / HTTP/1.1\r\n{BROWSER}");
        for (address, is_debugged, expected) in [
            ("127.0.0.1:8000", true, FailureForm::Page),
            ("127.0.0.1:8000", false, FailureForm::NoDetails),
            ("0.0.0.0:8000", true, FailureForm::NoDetails),
            ("[::1]:8000", true, FailureForm::Page),
        ] {
            let part = part(address, is_debugged);
            assert_eq!(form(&part, &request, "127.0.0.1", true), expected, "{address}");
        }
    }

    #[test]
    fn names_of_this_machine_are_known() {
        for (name, expected) in [
            ("localhost", true),
            ("LOCALHOST.", true),
            ("shop.localhost", true),
            ("127.0.0.1", true),
            ("[::1]", true),
            ("127.0.0.1.example.com", false),
            ("notlocalhost", false),
            ("", false),
        ] {
            assert_eq!(is_local_name(name.as_bytes()), expected, "{name}");
        }
    }
}
