//! Records as text: time, process, level, the part of the server, and the message. Whatever a
//! client or the application has put into a message, it is one record: control characters are
//! escaped, and every line but the first is indented, which no first line is.

use std::fmt;

use monoceros_sys::clock::{LocalTime, local_time, wall_seconds};

use crate::identity::Identity;
use crate::printable;
use crate::record::LogRecord;

/// In front of each line but the first one of a record.
const INDENT: &str = "  ";

/// A record as one line or several, without the last line end.
pub(crate) fn text(record: &LogRecord, pid: u32, identity: Identity) -> String {
    let name = record.severity.name();
    let mut out = format!("[{}] [{pid}] [{name}] ", Stamp::now());
    push_message(&mut out, record, identity, "");
    out
}

/// A record for the stream to systemd's journal, which adds time and process itself: every line
/// begins with its priority (`sd-daemon(3)`), and becomes an entry.
pub(crate) fn prefixed(record: &LogRecord, identity: Identity) -> String {
    let prefix = format!("<{}>", record.severity.priority());
    let mut out = format!("{prefix}[{}] ", record.severity.name());
    push_message(&mut out, record, identity, &prefix);
    out
}

/// The message with the part of the server in front, and the traceback below it.
pub(crate) fn message(record: &LogRecord, identity: Identity) -> String {
    let mut out = String::new();
    push_message(&mut out, record, identity, "");
    out
}

/// As [`message`], without the traceback.
pub(crate) fn headline(record: &LogRecord, identity: Identity) -> String {
    let lines: Vec<_> = record.message.split('\n').map(printable::text).collect();
    let mut out = part(record, identity);
    out.push_str(&lines.join(&format!("\n{INDENT}")));
    out
}

/// The part of the server that a record is from. A record of the application also has the name of
/// its logger, so that it cannot be taken for a record of the server.
fn part(record: &LogRecord, identity: Identity) -> String {
    match record.logger {
        Some(logger) => format!("{identity} {}: ", printable::line(logger)),
        None => format!("{identity}: "),
    }
}

/// Lines of a traceback, printable.
pub(crate) fn lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(printable::text).collect();
    lines.join("\n")
}

/// Appends the message and the traceback. `prefix` begins each line but the first one.
fn push_message(out: &mut String, record: &LogRecord, identity: Identity, prefix: &str) {
    out.push_str(&part(record, identity));
    let traceback = record.traceback.iter().flat_map(|text| text.lines());
    for (number, line) in record.message.split('\n').chain(traceback).enumerate() {
        if number > 0 {
            out.extend(["\n", prefix, INDENT]);
        }
        out.push_str(&printable::text(line));
    }
}

/// A time in the format of gunicorn's error log: `2026-11-22 09:23:00 +0000`.
struct Stamp(LocalTime);

impl Stamp {
    fn now() -> Self {
        Self(local_time(wall_seconds()))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let LocalTime { year, month, day, hour, minute, second, offset } = self.0;
        let sign = if offset < 0 { '-' } else { '+' };
        let (hours, minutes) = (offset.abs() / 3600, offset.abs() / 60 % 60);
        write!(formatter, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} ")?;
        write!(formatter, "{sign}{hours:02}{minutes:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::severity::Severity;

    const WORKER: Identity = Identity::Worker { slot: 1, generation: 2 };
    const FORGED: &str = "GET /: failed\n[2026-01-01 00:00:00 +0000] [1] [ERROR] forged\r\u{2028}x";

    #[test]
    fn a_stamp_has_the_sign_of_its_zone() {
        let mut time = local_time(0);
        (time.year, time.month, time.day) = (2026, 1, 2);
        (time.hour, time.minute, time.second, time.offset) = (3, 4, 5, -12_600);
        assert_eq!(Stamp(time).to_string(), "2026-01-02 03:04:05 -0330");
        time.offset = 7_200;
        assert_eq!(Stamp(time).to_string(), "2026-01-02 03:04:05 +0200");
    }

    #[test]
    fn a_text_of_several_lines_is_one_record() {
        let own = LogRecord::own(Severity::Error, FORGED);
        let lines = text(&own, 7, WORKER);
        let (first, second) = lines.split_once('\n').unwrap();
        assert!(first.ends_with("] [7] [ERROR] worker=1 gen=2: GET /: failed"), "{first}");
        let escaped = "  [2026-01-01 00:00:00 +0000] [1] [ERROR] forged\\r\\u2028x";
        assert_eq!(second, escaped);
        // The message of an application may have several lines too.
        let application = LogRecord::of_application(Severity::Error, "shop", FORGED);
        let lines = text(&application, 7, WORKER);
        let expected = format!("[ERROR] worker=1 gen=2 shop: GET /: failed\n{escaped}");
        assert!(lines.ends_with(&expected), "{lines}");
    }

    #[test]
    fn each_line_for_the_journal_has_the_priority_of_the_record() {
        let record = LogRecord::own(Severity::Warning, "one\ntwo\n\n<2>three");
        let lines = prefixed(&record, Identity::Master);
        assert_eq!(lines, "<4>[WARNING] master: one\n<4>  two\n<4>  \n<4>  <2>three");
    }

    #[test]
    fn a_message_alone_has_the_part_of_the_server() {
        let record = LogRecord::own(Severity::Info, "ready");
        assert_eq!(message(&record, WORKER), "worker=1 gen=2: ready");
    }
}
