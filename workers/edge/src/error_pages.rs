//! Shows a developer's browser the exception that the application has raised (`development`).

use monoceros_engine::Arrival;
use monoceros_wire::listener::ListenerDescription;

use crate::failure_page::{self, FailureSubject};
use crate::local_client::{LocalAddresses, is_navigation};

/// Pages with the traceback of an exception.
#[derive(Clone, Debug)]
pub struct ErrorPages {
    addresses: LocalAddresses,
}

impl ErrorPages {
    /// The header fields of each page: names and values.
    pub const FIELDS: [(&'static [u8], &'static [u8]); 3] = [
        (b"Content-Type", failure_page::MEDIA_TYPE),
        (b"X-Content-Type-Options", b"nosniff"),
        (b"Cache-Control", b"no-store"),
    ];

    /// For clients of these listeners, in the order of the engine.
    #[must_use]
    pub fn new(listeners: &[ListenerDescription]) -> Self {
        Self { addresses: LocalAddresses::of(listeners) }
    }

    /// Whether this client gets a page: a browser on this machine that has sent a form or opened
    /// a page.
    #[must_use]
    pub fn are_for(&self, arrival: &Arrival) -> bool {
        self.addresses.has_client(arrival) && is_navigation(arrival.head)
    }

    /// The page for this traceback.
    #[must_use]
    pub fn page(traceback: &str) -> String {
        failure_page::html(FailureSubject::Request, traceback)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_requests::{arrival, head, internet, listener};

    #[test]
    fn a_browser_on_this_machine_gets_the_page_also_for_a_form() {
        let pages = ErrorPages::new(&[listener("127.0.0.1:8000")]);
        let form = "POST / HTTP/1.1\r\nContent-Length: 0\r\nHost: localhost\r\n";
        for (request, client, expected) in [
            (format!("{form}Accept: text/html"), "127.0.0.1", true),
            (format!("{form}Accept: text/html\r\nSec-Fetch-Mode: cors"), "127.0.0.1", false),
            (format!("{form}Accept: application/json"), "127.0.0.1", false),
            (format!("{form}Accept: text/html\r\nX-Real-Ip: a"), "127.0.0.1", false),
            (format!("{form}Accept: text/html"), "192.0.2.1", false),
            ("GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html".to_owned(), "127.0.0.1", false),
        ] {
            let (head, peer) = (head(&format!("{request}\r\n\r\n")), internet(client));
            assert_eq!(pages.are_for(&arrival(&head, &peer)), expected, "{request:?}");
        }
    }
}
