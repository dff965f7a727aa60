//! The lines of the access log in JSON: one object each. docs/access-log.md lists the names of the
//! fields. What is not known of a request is left out.

use std::time::SystemTime;

use monoceros_http::response::push_decimal;
use monoceros_http::{Head, TraceParent};
use monoceros_log::json::{push_string, push_timestamp};
use monoceros_wire::listener::Scheme;

use crate::record::access_record::{REFERER, Record, USER_AGENT};

/// What is the same in every line of a worker.
#[derive(Debug)]
pub(super) struct JsonForm {
    /// The fields about the worker, with a comma before each.
    worker: String,
}

impl JsonForm {
    pub(super) fn new(slot: u16, generation: u32) -> Self {
        let pid = std::process::id();
        let worker = format!(",\"worker\":{slot},\"generation\":{generation},\"pid\":{pid}");
        Self { worker }
    }

    /// Appends the object of a record. `bytes` is called where the number of bytes belongs.
    pub(super) fn push(
        &self,
        record: &Record,
        line: &mut Vec<u8>,
        mut bytes: impl FnMut(&mut Vec<u8>),
    ) {
        line.extend_from_slice(b"{\"timestamp\":\"");
        push_timestamp(line, SystemTime::now());
        line.extend_from_slice(b"\",\"logger\":\"monoceros.access\"");
        push_text(line, "client", record.client().map(str::as_bytes));
        push_text(line, "method", record.head.map(Head::method));
        push_text(line, "target", record.head.map(Head::target));
        push_text(line, "protocol", record.head.map(|head| head.version().as_str().as_bytes()));
        push_text(line, "host", record.head.and_then(Head::host));
        push_text(line, "scheme", Some(scheme(record.scheme)));
        push_name(line, "status");
        push_decimal(line, record.response.status().into());
        push_name(line, "bytes");
        bytes(line);
        push_seconds(line, "duration", record.took_us);
        if let Some(queued_us) = record.queued_us {
            push_seconds(line, "queue", queued_us);
        }
        push_text(line, "referer", record.joined(REFERER).as_deref());
        push_text(line, "user_agent", record.joined(USER_AGENT).as_deref());
        push_text(line, "tls", record.session.map(|session| session.protocol.as_bytes()));
        push_text(line, "cipher", record.session.map(|session| session.cipher.as_bytes()));
        line.extend_from_slice(self.worker.as_bytes());
        push_text(line, "request_id", Some(record.request_id.as_str().as_bytes()));
        let trace = record.head.and_then(TraceParent::of);
        push_text(line, "trace_id", trace.map(|trace| trace.trace_id.as_bytes()));
        push_text(line, "span_id", trace.map(|trace| trace.span_id.as_bytes()));
        push_text(line, "user", record.user().as_deref());
        line.push(b'}');
    }
}

fn scheme(scheme: Scheme) -> &'static [u8] {
    match scheme {
        Scheme::Http => b"http",
        Scheme::Https => b"https",
    }
}

fn push_name(line: &mut Vec<u8>, name: &str) {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":");
}

/// Appends a field, unless it is empty. Bytes that are not UTF-8 become U+FFFD.
fn push_text(line: &mut Vec<u8>, name: &str, bytes: Option<&[u8]>) {
    if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
        push_name(line, name);
        push_string(line, &String::from_utf8_lossy(bytes));
    }
}

/// Appends a length of time in seconds, with microseconds.
fn push_seconds(line: &mut Vec<u8>, name: &str, us: u64) {
    push_name(line, name);
    line.extend_from_slice(format!("{}.{:06}", us / 1_000_000, us % 1_000_000).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::access_record::tests::with_record;
    use serde_json::{Value, json};

    #[test]
    fn a_line_is_one_object_without_unknown_fields() {
        let mut line = Vec::new();
        with_record("/a%20b?c=\"d", |record| {
            JsonForm::new(3, 4).push(record, &mut line, |line| line.extend_from_slice(b"17"));
        });
        let text = String::from_utf8(line).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let mut found: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
        assert!(found.remove("timestamp").is_some_and(|time| time.as_str().is_some()));
        let expected = json!({
            "logger": "monoceros.access", "client": "1.2.3.4", "method": "GET",
            "target": "/a%20b?c=\"d", "protocol": "HTTP/1.1", "host": "x", "scheme": "https",
            "status": 200, "bytes": 17, "duration": 1.234567, "queue": 0.000089,
            "referer": "r\\\u{fffd}", "user_agent": "wrk,x\u{e9}", "tls": "TLSv1.3",
            "cipher": "TLS_AES_128_GCM_SHA256", "worker": 3, "generation": 4,
            "pid": std::process::id(), "request_id": "a-1",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
            "user": "user",
        });
        assert_eq!(Value::from(found), expected);
    }
}
