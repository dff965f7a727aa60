//! Counts the lines that a log file could not take, and reports them when it takes lines
//! again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::form::RecordForm;
use crate::record::LogRecord;
use crate::severity::Severity;

/// The count of lost lines. It has no lock, so that a process that the application forks
/// at any time can continue to write.
#[derive(Debug, Default)]
pub(crate) struct Loss {
    lines: AtomicU64,
    bytes: AtomicU64,
    /// Whether the last write has left a line without an end.
    open_line: AtomicBool,
}

/// A number of lost lines and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LostLines {
    lines: u64,
    bytes: u64,
}

impl Loss {
    /// Notes what was written.
    pub(crate) fn keep(&self, bytes: &[u8]) {
        if let Some(last) = bytes.last() {
            self.open_line.store(*last != b'\n', Ordering::Relaxed);
        }
    }

    /// Counts what was not written.
    pub(crate) fn add(&self, bytes: &[u8]) {
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        self.put_back(LostLines { lines: lines as u64, bytes: bytes.len() as u64 });
    }

    /// Whether nothing was lost since the count was last taken.
    pub(crate) fn is_none(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) == 0
    }

    /// Takes the count and resets it; `None` when nothing was lost.
    pub(crate) fn take(&self) -> Option<LostLines> {
        if self.is_none() {
            return None;
        }
        let bytes = self.bytes.swap(0, Ordering::Relaxed);
        let lines = self.lines.swap(0, Ordering::Relaxed);
        (bytes > 0).then_some(LostLines { lines, bytes })
    }

    /// Adds a count that could not be reported.
    pub(crate) fn put_back(&self, lost: LostLines) {
        self.lines.fetch_add(lost.lines, Ordering::Relaxed);
        self.bytes.fetch_add(lost.bytes, Ordering::Relaxed);
    }

    /// The line that reports the loss.
    pub(crate) fn tell(&self, lost: LostLines, form: RecordForm) -> String {
        let before = if self.open_line.load(Ordering::Relaxed) { "\n" } else { "" };
        let LostLines { lines, bytes } = lost;
        let text = format!(
            "log: {lines} lines ({bytes} bytes) were lost here: the log could not be written"
        );
        format!("{before}{}\n", form.render(&LogRecord::own(Severity::Warning, &text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_reported_once_with_those_not_reported_before() {
        let loss = Loss::default();
        assert_eq!(loss.take(), None);
        loss.add(b"one\ntwo\n");
        let lost = loss.take().unwrap();
        assert_eq!((lost, loss.take()), (LostLines { lines: 2, bytes: 8 }, None));
        loss.put_back(lost);
        loss.add(b"three\n");
        let text = loss.tell(loss.take().unwrap(), RecordForm::Text);
        let line = "] [WARNING] master: log: 3 lines (14 bytes) were lost here";
        assert!(text.contains(line), "{text}");
        let text = loss.tell(lost, RecordForm::Prefixed);
        let line = "<4>[WARNING] master: log: 2 lines (8 bytes) were lost";
        assert!(text.starts_with(line), "{text}");
        let text = loss.tell(lost, RecordForm::Json);
        assert!(text.starts_with('{') && text.ends_with("}\n"), "{text}");
    }

    #[test]
    fn a_line_that_was_cut_is_ended_first() {
        let loss = Loss::default();
        loss.keep(b"one\n");
        assert!(loss.tell(LostLines { lines: 1, bytes: 4 }, RecordForm::Text).starts_with('['));
        loss.keep(b"tw");
        loss.keep(b"");
        assert!(loss.tell(LostLines { lines: 1, bytes: 2 }, RecordForm::Text).starts_with("\n["));
    }
}
