//! Messages for syslog, as RFC 5424 has them.

use std::sync::Arc;
use std::time::SystemTime;

use monoceros_config::SyslogFacility;

use crate::json::push_timestamp;
use crate::syslog_link::SyslogLink;

/// The longest name of a program (RFC 5424, section 6).
const LONGEST_NAME: usize = 48;
/// The longest name of a machine.
const LONGEST_HOST: usize = 255;

/// A sender of one kind of messages: of the error log, or of the access log.
#[derive(Clone, Debug)]
pub struct Syslog {
    link: Arc<SyslogLink>,
    /// The facility's number, such as 1 for user (`syslog(3)`).
    facility: u8,
    host: String,
    /// The name of the program that messages carry.
    name: String,
}

impl Syslog {
    /// A sender by `link`. Messages carry the name `monoceros.PREFIX.KIND`.
    #[must_use]
    pub fn new(link: Arc<SyslogLink>, facility: SyslogFacility, prefix: &str, kind: &str) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = word(&host, LONGEST_HOST);
        // A long prefix is cut, so that the kind stays.
        let room = LONGEST_NAME.saturating_sub("monoceros..".len() + kind.len());
        let name = format!("monoceros.{}.{kind}", word(prefix, room));
        Self { link, facility: facility.code(), host, name }
    }

    /// Sends a message without waiting. `priority` is the number of its severity, `id` the
    /// identifier of its event.
    pub fn send(&self, priority: u8, id: Option<&str>, text: &str) {
        let message = |priority, id, text: &str| self.message(priority, id, text);
        self.link.send(&message(priority, id, text), |lost| {
            let text = format!("log: {lost} messages were lost here: syslog was not reached");
            message(4, None, &text)
        });
    }

    /// Sends each line of the access log as a message.
    pub fn send_lines(&self, lines: &[u8]) {
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.send(6, None, &String::from_utf8_lossy(line));
        }
    }

    /// Sends what waits for a connection.
    pub fn flush(&self) {
        self.link.flush();
    }

    fn message(&self, priority: u8, id: Option<&str>, text: &str) -> Vec<u8> {
        let mut out = format!("<{}>1 ", u16::from(self.facility) * 8 + u16::from(priority));
        let mut time = Vec::new();
        push_timestamp(&mut time, SystemTime::now());
        out.push_str(&String::from_utf8_lossy(&time));
        let (pid, id) = (std::process::id(), id.unwrap_or("-"));
        out.push_str(&format!(" {} {} {pid} {id} - {text}", self.host, self.name));
        out.into_bytes()
    }
}

/// A text as a word of the header: printable ASCII without spaces, `-` if it is empty.
fn word(text: &str, longest: usize) -> String {
    let letters = text.trim().chars().take(longest);
    let word: String = letters.map(|it| if it.is_ascii_graphic() { it } else { '_' }).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;
    use monoceros_config::SyslogAddress;

    fn sender(prefix: &str) -> Syslog {
        let nowhere = SyslogAddress::Unix { path: "/nowhere".into(), kind: None };
        Syslog::new(Arc::new(SyslogLink::new(nowhere)), SyslogFacility::Local0, prefix, "error")
    }

    #[test]
    fn a_message_has_the_header_of_rfc_5424() {
        let bytes = sender("my shop:1").message(3, Some("abc"), "worker=0: x\n  y");
        let text = String::from_utf8(bytes).unwrap();
        let (header, rest) = text.split_once(" - ").unwrap();
        assert_eq!(rest, "worker=0: x\n  y");
        let words: Vec<_> = header.split(' ').collect();
        let pid = std::process::id().to_string();
        assert_eq!((words[0], words.len()), ("<131>1", 6), "local0 is 16");
        assert_eq!(words[3..], ["monoceros.my_shop:1.error", pid.as_str(), "abc"]);
        assert_eq!(words[1].len(), "2026-01-02T03:04:05.123456+00:00".len());
        assert!(!words[2].is_empty());
    }

    #[test]
    fn the_header_has_no_field_without_a_value() {
        let text = String::from_utf8(sender("").message(6, None, "x")).unwrap();
        assert!(text.starts_with("<134>1 ") && text.ends_with(" - - x"), "{text}");
        assert!(text.contains(" monoceros.-.error "), "{text}");
        let long = sender(&"x".repeat(100));
        assert_eq!(long.name.len(), LONGEST_NAME);
        assert!(long.name.ends_with(".error"));
    }
}
