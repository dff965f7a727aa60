//! Lines that are sent in one datagram.

/// The most bytes of a datagram: with the headers of IP and UDP it passes every usual network in
/// one piece.
pub(crate) const LIMIT: usize = 1432;

/// The lines that wait.
#[derive(Debug, Default)]
pub(crate) struct Packet {
    lines: String,
}

impl Packet {
    /// Adds a line. Returns the datagram that is full without it, if there is one.
    pub(crate) fn add(&mut self, line: &str) -> Option<String> {
        let is_full = !self.lines.is_empty() && self.lines.len() + 1 + line.len() > LIMIT;
        let full = is_full.then(|| std::mem::take(&mut self.lines));
        if !self.lines.is_empty() {
            self.lines.push('\n');
        }
        self.lines.push_str(line);
        full
    }

    /// Takes the rest, if there is any.
    pub(crate) fn take(&mut self) -> Option<String> {
        let lines = std::mem::take(&mut self.lines);
        (!lines.is_empty()).then_some(lines)
    }

    /// Whether no line waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_datagram_is_too_long_and_no_line_is_lost() {
        let mut packet = Packet::default();
        let lines: Vec<_> =
            (0..500).map(|number| format!("gunicorn.requests:{number}|c")).collect();
        let mut sent: Vec<_> = lines.iter().filter_map(|line| packet.add(line)).collect();
        assert!(sent.len() > 5 && sent.iter().all(|it| (LIMIT - 30..=LIMIT).contains(&it.len())));
        sent.extend(packet.take());
        assert_eq!(sent.join("\n"), lines.join("\n"));
        assert!(packet.is_empty() && packet.take().is_none());
    }

    #[test]
    fn a_line_that_is_too_long_is_sent_alone() {
        let mut packet = Packet::default();
        let long = "a".repeat(2 * LIMIT);
        assert_eq!(packet.add("b"), None);
        assert_eq!(packet.add(&long), Some("b".to_owned()));
        assert_eq!(packet.add("c"), Some(long));
        assert_eq!(packet.take(), Some("c".to_owned()));
    }
}
