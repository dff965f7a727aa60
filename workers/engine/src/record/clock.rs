//! The texts of the current second: made once, used by every response of that second.

use std::cell::RefCell;
use std::fmt::Write;

use monoceros_http::{Fields, date};
use monoceros_sys::clock::{LocalTime, local_time, wall_seconds};

/// The fields that the server adds to a response.
pub(crate) const SERVER: &[u8] = b"Server";
pub(crate) const DATE: &[u8] = b"Date";

/// The texts of one second.
#[derive(Debug)]
struct Second {
    seconds: i64,
    /// The fields that the server adds to a response: Server and Date.
    own: Fields,
    /// The time in the format of the access log; made when it is first needed.
    log: String,
}

thread_local! {
    static NOW: RefCell<Second> =
        const { RefCell::new(Second { seconds: -1, own: Fields::new(), log: String::new() }) };
}

/// Shows the fields that the server adds to a response: Server, and Date with the current date
/// (RFC 9110 sections 10.2.4 and 6.6.1).
pub(crate) fn with_own_fields(show: impl FnOnce(&Fields)) {
    with_now(|now| show(&now.own));
}

/// Appends the current time as the access log has it:
/// `[22/Nov/2026:09:23:00 +0000]`.
pub(crate) fn push_log_time(out: &mut Vec<u8>) {
    with_now(|now| {
        if now.log.is_empty() {
            write_log_time(&mut now.log, &local_time(now.seconds));
        }
        out.extend_from_slice(now.log.as_bytes());
    });
}

fn with_now(show: impl FnOnce(&mut Second)) {
    NOW.with_borrow_mut(|now| {
        let seconds = wall_seconds();
        if now.seconds != seconds {
            now.seconds = seconds;
            now.own.clear();
            now.own.push(SERVER, b"monoceros");
            now.own.push(DATE, &date::imf_fixdate(seconds.unsigned_abs()));
            now.log.clear();
        }
        show(now);
    });
}

fn write_log_time(out: &mut String, time: &LocalTime) {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let LocalTime { year, month, day, hour, minute, second, offset } = *time;
    let month = MONTHS.get(usize::from(month).wrapping_sub(1)).unwrap_or(&"-");
    let sign = if offset < 0 { '-' } else { '+' };
    let (hours, minutes) = (offset.abs() / 3600, offset.abs() / 60 % 60);
    // Writing to a String cannot fail.
    write!(out, "[{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} ").ok();
    write!(out, "{sign}{hours:02}{minutes:02}]").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_time_is_as_apache_writes_it() {
        let mut time = local_time(0);
        (time.year, time.month, time.day) = (2026, 11, 2);
        (time.hour, time.minute, time.second, time.offset) = (3, 4, 5, -12_600);
        let mut text = String::new();
        write_log_time(&mut text, &time);
        assert_eq!(text, "[02/Nov/2026:03:04:05 -0330]");
    }

    #[test]
    fn both_texts_have_the_current_second() {
        let mut out = Vec::new();
        with_own_fields(|own| out.extend_from_slice(own.get(DATE).unwrap()));
        assert!(out.ends_with(b" GMT"));
        out.clear();
        push_log_time(&mut out);
        assert!(out.starts_with(b"[") && out.ends_with(b"]"));
    }
}
