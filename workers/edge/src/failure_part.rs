//! Shows browsers why code of the application cannot be loaded (`reload`).

use monoceros_engine::{Arrival, CodeFailure, CurrentFailure, Decision, LocalResponse};
use monoceros_wire::listener::ListenerDescription;

use crate::arrived_request::{ArrivedRequest, DecisionPart};
use crate::failure_page::{self, FailureSubject};
use crate::local_client::{LocalAddresses, is_navigation};
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
    addresses: LocalAddresses,
}

impl FailurePart {
    /// For these listeners.
    pub(crate) fn new(listeners: &[ListenerDescription], failure: &CodeFailure) -> Self {
        Self { failure: failure.clone(), addresses: LocalAddresses::of(listeners) }
    }

    /// What the client of this request gets.
    fn form(&self, failure: &CurrentFailure, arrival: &Arrival) -> FailureForm {
        let shows = failure.is_debugged && self.addresses.has_client(arrival);
        if shows && is_read(arrival.head) && is_navigation(arrival.head) {
            FailureForm::Page
        } else if !failure.is_total {
            FailureForm::Application
        } else if shows {
            FailureForm::Text
        } else {
            FailureForm::NoDetails
        }
    }
}

impl DecisionPart for FailurePart {
    fn decide(&self, request: &ArrivedRequest) -> Decision {
        let Some(failure) = self.failure.current() else { return Decision::Pass };
        let (body, media_type): (_, &[u8]) = match self.form(&failure, request.arrival) {
            FailureForm::Page => {
                (failure_page::html(FailureSubject::Code, &failure.text), failure_page::MEDIA_TYPE)
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_requests::{arrival, head, internet, listener};

    const BROWSER: &str = "Host: localhost:8000\r\nAccept: text/html,*/*;q=0.8";

    fn form(part: &FailurePart, request: &str, client: &str, is_total: bool) -> FailureForm {
        let (head, peer) = (head(&format!("{request}\r\n\r\n")), internet(client));
        let arrival = arrival(&head, &peer);
        let failure = CurrentFailure { is_total, ..part.failure.current().unwrap() };
        part.form(&failure, &arrival)
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
}
