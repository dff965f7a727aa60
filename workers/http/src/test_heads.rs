//! Heads of requests for the tests of what is read from their fields.

use crate::head::Head;
use crate::limits::Limits;

/// The head of a request with these lines of fields, each with its line end.
pub(crate) fn head_with_lines(method: &str, lines: &str) -> Head {
    let mut head = Head::new();
    let limits = Limits { request_line: 4094, fields: 100, field_size: 8190 };
    let text = format!("{method} / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    head.read(text.as_bytes(), &limits).unwrap().unwrap();
    head
}

/// The head of a request with these fields.
pub(crate) fn head_with_fields(method: &str, fields: &[(&str, &str)]) -> Head {
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    head_with_lines(method, &lines)
}
