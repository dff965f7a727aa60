//! Records as JSON: one object in one line. docs/logging.md lists the names of the fields.

use std::time::{SystemTime, UNIX_EPOCH};

use monoceros_sys::clock::{LocalTime, local_time};

use crate::identity::Identity;
use crate::printable::is_unsafe;
use crate::record::LogRecord;

/// The names that every record has a value of its own for. A fact with such a name is left out.
const OWN: [&str; 8] =
    ["timestamp", "level", "logger", "message", "pid", "worker", "generation", "traceback"];

/// A record as one line, without the line end.
pub(crate) fn object(record: &LogRecord, pid: u32, identity: Identity) -> String {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"timestamp\":\"");
    push_timestamp(&mut out, SystemTime::now());
    out.push(b'"');
    push_field(&mut out, "level", record.severity.word());
    push_field(&mut out, "logger", record.logger.unwrap_or(identity.logger()));
    push_field(&mut out, "message", &record.message);
    push_number(&mut out, "pid", pid.into());
    if let Some(slot) = identity.slot() {
        push_number(&mut out, "worker", slot.into());
    }
    if let Some(generation) = identity.generation() {
        push_number(&mut out, "generation", generation.into());
    }
    for (name, value) in record.fields.iter().filter(|(name, _)| !OWN.contains(&name.as_ref())) {
        push_field(&mut out, name, value);
    }
    if let Some(traceback) = &record.traceback {
        push_field(&mut out, "traceback", traceback);
    }
    out.push(b'}');
    String::from_utf8_lossy(&out).into_owned()
}

fn push_field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b',');
    push_string(out, name);
    out.push(b':');
    push_string(out, value);
}

fn push_number(out: &mut Vec<u8>, name: &str, value: u64) {
    out.push(b',');
    push_string(out, name);
    out.extend_from_slice(format!(":{value}").as_bytes());
}

/// Appends a text as a JSON string. What could end a line or control a terminal is escaped,
/// also where RFC 8259 does not ask for that.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend_from_slice(&[b'\\', letter as u8]),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            _ if is_unsafe(letter) => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(letter)).as_bytes());
            }
            _ => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

/// Appends a time as RFC 3339 has it, in the machine's zone, with microseconds:
/// `2026-11-22T09:23:00.123456+01:00`.
pub fn push_timestamp(out: &mut Vec<u8>, time: SystemTime) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = local_time(i64::try_from(since.as_secs()).unwrap_or_default());
    out.extend_from_slice(stamp(&time, since.subsec_micros()).as_bytes());
}

fn stamp(time: &LocalTime, micros: u32) -> String {
    let LocalTime { year, month, day, hour, minute, second, offset } = time;
    let sign = if *offset < 0 { '-' } else { '+' };
    let (hours, minutes) = (offset.abs() / 3600, offset.abs() / 60 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}\
         {sign}{hours:02}:{minutes:02}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::severity::Severity;

    fn string(text: &str) -> String {
        let mut out = Vec::new();
        push_string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_string_keeps_its_text_and_ends_no_line() {
        let text = "a\"b\\c\nd\re\tf\u{1b}g\u{85}h\u{2028}i\u{7f}é🦄";
        let expected = r#""a\"b\\c\nd\re\tf\u001bg\u0085h\u2028i\u007fé🦄""#;
        assert_eq!(string(text), expected);
        let found: String = serde_json::from_str(&string(text)).unwrap();
        assert_eq!(found, text);
    }

    #[test]
    fn a_time_has_microseconds_and_its_zone() {
        let mut time = local_time(0);
        (time.year, time.month, time.day) = (2026, 1, 2);
        (time.hour, time.minute, time.second, time.offset) = (3, 4, 5, -12_600);
        assert_eq!(stamp(&time, 42), "2026-01-02T03:04:05.000042-03:30");
        time.offset = 7_200;
        assert_eq!(stamp(&time, 999_999), "2026-01-02T03:04:05.999999+02:00");
    }

    #[test]
    fn a_record_is_one_object_with_what_is_known() {
        let mut record = LogRecord::own(Severity::Error, "GET /: failed\nTraceback\n  x");
        record.fields = [("request_id", "a-1"), ("level", "forged"), ("pid", "1")]
            .map(|(name, value)| (name.into(), value.to_owned()))
            .to_vec();
        let worker = Identity::Worker { slot: 3, generation: 4 };
        let line = object(&record, 7, worker);
        let mut found: serde_json::Map<_, _> = serde_json::from_str(&line).unwrap();
        assert!(found.remove("timestamp").is_some_and(|time| time.is_string()));
        let expected = serde_json::json!({
            "level": "error", "logger": "monoceros.worker", "message": "GET /: failed", "pid": 7,
            "worker": 3, "generation": 4, "request_id": "a-1", "traceback": "Traceback\n  x",
        });
        assert_eq!(serde_json::Value::from(found), expected);
        assert_eq!(line.matches("forged").count(), 0, "a fact cannot replace what is known");
        let master = LogRecord::of_application(Severity::Critical, "shop", "x");
        let line = object(&master, 7, Identity::Master);
        assert!(line.contains(r#""level":"critical","logger":"shop","message":"x","pid":7}"#));
    }
}
