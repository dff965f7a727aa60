//! The short line of a request for a developer: method, target, status and time.

use monoceros_http::response::push_decimal;

use crate::record::access_record::{Record, push_escaped};

const GREEN: &[u8] = b"\x1b[32m";
const CYAN: &[u8] = b"\x1b[36m";
const YELLOW: &[u8] = b"\x1b[33m";
const RED: &[u8] = b"\x1b[1;31m";
const PLAIN: &[u8] = b"\x1b[0m";

/// Appends the line, such as `GET /shop?page=2 200 13 ms`. The colour shows the class of the
/// status (ECMA-48).
pub(super) fn push(record: &Record, is_coloured: bool, line: &mut Vec<u8>) {
    let status = record.response.status();
    if is_coloured {
        line.extend_from_slice(colour(status));
    }
    match record.head {
        Some(head) => {
            push_escaped(head.method(), true, line);
            line.push(b' ');
            push_escaped(head.target(), true, line);
        }
        None => line.extend_from_slice(b"(no request)"),
    }
    line.push(b' ');
    push_decimal(line, status.into());
    line.push(b' ');
    push_milliseconds(record.took_us, line);
    if is_coloured {
        line.extend_from_slice(PLAIN);
    }
}

/// Appends a time: below 10 ms with one decimal.
fn push_milliseconds(us: u64, line: &mut Vec<u8>) {
    push_decimal(line, us / 1_000);
    if us < 10_000 {
        line.push(b'.');
        push_decimal(line, us % 1_000 / 100);
    }
    line.extend_from_slice(b" ms");
}

fn colour(status: u16) -> &'static [u8] {
    match status {
        500.. => RED,
        400..500 => YELLOW,
        300..400 => CYAN,
        0..300 => GREEN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::access_record::tests::with_record;

    fn line(target: &str, is_coloured: bool) -> String {
        let mut line = Vec::new();
        with_record(target, |record| push(record, is_coloured, &mut line));
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_line_has_method_target_status_and_time() {
        assert_eq!(line("/a?b=c", false), "GET /a?b=c 200 1234 ms");
        assert_eq!(line("/a", true), "\x1b[32mGET /a 200 1234 ms\x1b[0m");
        assert_eq!(line("/\"", false), "GET /\\\" 200 1234 ms");
    }

    #[test]
    fn the_class_of_the_status_has_a_colour() {
        let colours = [204, 304, 404, 503].map(colour);
        assert_eq!(colours, [GREEN, CYAN, YELLOW, RED]);
    }

    #[test]
    fn short_times_have_a_decimal() {
        for (us, expected) in
            [(0, "0.0 ms"), (1_250, "1.2 ms"), (9_999, "9.9 ms"), (10_000, "10 ms")]
        {
            let mut line = Vec::new();
            push_milliseconds(us, &mut line);
            assert_eq!(line, expected.as_bytes());
        }
    }
}
