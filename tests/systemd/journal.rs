//! The error log as journald keeps it: a record is one entry, with fields.

use serde_json::Value;

use crate::machine::Machine;
use crate::shop::Shop;
use crate::support::until;

/// The events with an identifier in docs/logging.md: the identifier, a part of the text and the
/// priority.
const EVENTS: [(&str, &str, &str); 4] = [
    ("628bae43ec1f42d8931a1ed7d4d089e6", "master: reloaded: gen=2 serves", "6"),
    ("042c04ca8ab0493ea0ebadf98fb40b6e", "master: reload failed: gen=3 ", "3"),
    ("8f705f9843984f36977e2dff3b3cd5a5", " died: SIGSEGV", "3"),
    ("98632b9aeb23481c8ef5573e099c5a62", " has been running GET /wait ", "3"),
];

/// A field of an entry; empty if it has none.
fn field<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry[name].as_str().unwrap_or_default()
}

/// Waits for an entry with this text, and checks that it is the only one.
fn entry(shop: &Shop, text: &str) -> Value {
    let found = until::some(text, || {
        let mut entries = shop.entries(&[]);
        entries.retain(|it| field(it, "MESSAGE").contains(text));
        Some(entries).filter(|entries| !entries.is_empty())
    });
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].clone()
}

#[test]
fn a_record_is_one_entry_with_fields() {
    Machine::each(|machine| {
        let shop = Shop::install(machine);
        shop.systemctl("start");
        let serving = entry(&shop, "master: serving wsgi:application at ");
        assert!(field(&serving, "MESSAGE").starts_with("[INFO] master: "), "{serving:#}");
        let ours = ["PRIORITY", "SYSLOG_IDENTIFIER", "MONOCEROS_LOGGER", "MONOCEROS_WORKER"];
        let fields = ours.map(|name| field(&serving, name));
        assert_eq!(fields, ["6", "monoceros", "monoceros.master", ""], "{serving:#}");
        assert_eq!(field(&serving, "_PID"), shop.main_pid());
        // journald takes entries by the native protocol, and lines by the stream.
        assert_eq!(field(&serving, "_TRANSPORT"), "journal", "{serving:#}");
        let mut connection = shop.connect();
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        connection.send(format!(
            "GET /fail HTTP/1.1\r\nHost: a\r\nX-Request-ID: for-the-journal\r\n\
             traceparent: 00-{trace}-00f067aa0ba902b7-01\r\n\r\n"
        ));
        assert_eq!(connection.response().status, 500);
        let failure = entry(&shop, "ValueError: raised for the journal");
        let lines: Vec<_> = field(&failure, "MESSAGE").lines().collect();
        assert!(lines[0].starts_with("[ERROR] worker=0 gen=1: GET /fail"), "{failure:#}");
        assert_eq!(lines[1], "  Traceback (most recent call last):");
        assert!(lines.len() > 3 && lines[2..].iter().all(|it| it.starts_with("  ")));
        for (name, value) in [
            ("PRIORITY", "3"),
            ("MONOCEROS_LOGGER", "monoceros.worker"),
            ("MONOCEROS_WORKER", "0"),
            ("MONOCEROS_GENERATION", "1"),
            ("MONOCEROS_REQUEST_ID", "for-the-journal"),
            ("MONOCEROS_TRACE_ID", trace),
            ("MONOCEROS_SPAN_ID", "00f067aa0ba902b7"),
            ("MESSAGE_ID", ""),
        ] {
            assert_eq!(field(&failure, name), value, "{name}: {failure:#}");
        }
        shop.stop();
    });
}

#[test]
fn events_are_found_by_their_identifiers() {
    Machine::each(|machine| {
        let shop = Shop::install(machine);
        shop.configure("timeout: 4\n");
        shop.systemctl("start");
        shop.deploy("two");
        shop.systemctl("reload");
        shop.break_code();
        assert_eq!(shop.attempt("reload").status.code(), Some(1), "{machine}");
        shop.deploy("two");
        shop.crash_worker();
        assert_eq!(shop.get("/wait").status, 504, "{machine}");
        let document = include_str!("../../docs/logging.md");
        for (id, text, priority) in EVENTS {
            assert!(document.contains(&format!("| `{id}` |")), "{id}");
            let entries = until::some(text, || {
                let entries = shop.entries(&[&format!("MESSAGE_ID={id}")]);
                Some(entries).filter(|entries| !entries.is_empty())
            });
            assert_eq!(entries.len(), 1, "{text}: {entries:#?}");
            let found = &entries[0];
            assert!(field(found, "MESSAGE").contains(text), "{text}: {found:#}");
            assert_eq!(field(found, "PRIORITY"), priority, "{text}: {found:#}");
        }
        shop.stop();
    });
}
