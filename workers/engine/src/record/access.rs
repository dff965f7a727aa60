//! The access log: which requests it has, and how their lines are gathered.
//!
//! Lines are buffered and written together: by a thread that is about to sleep, or when
//! there are many.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};

use monoceros_config::{AccessExclusion, AccessFormat, AtomLayout, Fraction};
use monoceros_http::response::push_decimal;
use monoceros_log::LineLog;

use crate::record::access_facts::{AccessFacts, AccessSink};
use crate::record::access_json::JsonForm;
use crate::record::access_record::Record;
use crate::record::access_selection::AccessSelection;
use crate::record::request_line;

/// Buffered bytes beyond this are written at once.
const GATHER_LIMIT: usize = 32 * 1024;

thread_local! {
    /// The memory for a line.
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The log's file, what it leaves out, and the form of its lines.
#[derive(Debug)]
pub struct AccessLog {
    lines: LineLog,
    form: LineForm,
    selection: AccessSelection,
    gathered: Mutex<Vec<u8>>,
}

/// The form of a line.
#[derive(Debug)]
enum LineForm {
    Text(AccessFormat),
    Json(JsonForm),
    /// Short lines for a developer.
    Short {
        /// With the colours of a terminal.
        is_coloured: bool,
    },
    /// There are no lines: another log gets the facts.
    Facts(Box<dyn AccessSink>),
}

/// What the log gets of a request whose number of bytes is not known yet.
#[derive(Debug)]
pub(crate) enum Draft {
    Line(LineDraft),
    Facts(Box<AccessFacts>),
}

/// A line in which the number of bytes is missing.
#[derive(Debug, Default)]
pub(crate) struct LineDraft {
    line: Vec<u8>,
    /// The positions of the number in the line, with its layout.
    gaps: Vec<(usize, AtomLayout)>,
}

impl AccessLog {
    /// A log of lines of this format.
    #[must_use]
    pub fn new(lines: LineLog, format: AccessFormat) -> Self {
        let (form, selection) = (LineForm::Text(format), AccessSelection::default());
        Self { lines, form, selection, gathered: Mutex::default() }
    }

    /// A log whose requests another log gets.
    #[must_use]
    pub fn for_sink(sink: Box<dyn AccessSink>) -> Self {
        let (lines, selection) = (LineLog::default(), AccessSelection::default());
        Self { lines, form: LineForm::Facts(sink), selection, gathered: Mutex::default() }
    }

    /// The same with lines in JSON, for the worker of this slot and generation.
    #[must_use]
    pub fn as_json(self, slot: u16, generation: u32) -> Self {
        Self { form: LineForm::Json(JsonForm::new(slot, generation)), ..self }
    }

    /// The same with short lines for a developer, coloured on a terminal if colours are wanted.
    #[must_use]
    pub fn as_short(self, colours: bool) -> Self {
        let is_coloured = colours && self.lines.is_terminal();
        Self { form: LineForm::Short { is_coloured }, ..self }
    }

    /// The same without these requests, and with this part of the others.
    #[must_use]
    pub fn leaving_out(self, exclusions: &[AccessExclusion], sample: Fraction) -> Self {
        Self { selection: AccessSelection::new(exclusions, sample), ..self }
    }

    /// Adds a line, unless the request is left out.
    pub(crate) fn add(&self, record: &Record) {
        if !self.selection.has(record) {
            return;
        }
        if let LineForm::Facts(sink) = &self.form {
            return sink.take(AccessFacts::of(record));
        }
        // Neither the memory nor the lock is held while Python is asked for a variable,
        // because Python may run any code, also another request.
        let mut line = LINE.take();
        line.clear();
        self.make(record, &mut line);
        self.gather(&line);
        line.clear();
        line.shrink_to(GATHER_LIMIT);
        LINE.set(line);
    }

    /// Makes a line whose response is still being sent; none if the request is left out.
    pub(crate) fn draft(&self, record: &Record) -> Option<Draft> {
        if !self.selection.has(record) {
            return None;
        }
        if let LineForm::Facts(_) = &self.form {
            return Some(Draft::Facts(Box::new(AccessFacts::of(record))));
        }
        let mut draft = LineDraft::default();
        self.push(record, &mut draft.line, |line, layout| {
            draft.gaps.push((line.len(), layout));
        });
        Some(Draft::Line(draft))
    }

    /// Adds such a line when the number of bytes is known.
    pub(crate) fn add_draft(&self, draft: Draft, body_bytes: u64) {
        match (draft, &self.form) {
            (Draft::Line(line), _) => self.gather(&line.complete(body_bytes)),
            (Draft::Facts(facts), LineForm::Facts(sink)) => {
                sink.take(AccessFacts { body_bytes, ..*facts });
            }
            (Draft::Facts(_), LineForm::Text(_) | LineForm::Json(_) | LineForm::Short { .. }) => {}
        }
    }

    /// The facts of a request for the side that has called the application, if the requests go to
    /// another log and this one is not left out.
    pub(crate) fn facts(&self, record: &Record) -> Option<AccessFacts> {
        let is_due = matches!(self.form, LineForm::Facts(_)) && self.selection.has(record);
        is_due.then(|| AccessFacts::of(record))
    }

    /// Whether the requests go to another log.
    pub(crate) fn has_sink(&self) -> bool {
        matches!(self.form, LineForm::Facts(_))
    }

    fn make(&self, record: &Record, line: &mut Vec<u8>) {
        self.push(record, line, |line, layout| {
            push_number(line, record.response.body_bytes(), layout);
        });
    }

    /// Appends the line of a record. `bytes` is called where the number of bytes belongs.
    fn push(
        &self,
        record: &Record,
        line: &mut Vec<u8>,
        mut bytes: impl FnMut(&mut Vec<u8>, AtomLayout),
    ) {
        match &self.form {
            LineForm::Text(format) => record.push_text(format, line, bytes),
            LineForm::Json(form) => {
                form.push(record, line, |line| bytes(line, AtomLayout::default()));
            }
            LineForm::Short { is_coloured } => request_line::push(record, *is_coloured, line),
            LineForm::Facts(_) => return,
        }
        line.push(b'\n');
    }

    fn gather(&self, line: &[u8]) {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        gathered.extend_from_slice(line);
        if gathered.len() > GATHER_LIMIT {
            self.write_out(&mut gathered);
        }
    }

    /// Writes the buffered lines.
    pub(crate) fn flush(&self) {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        self.write_out(&mut gathered);
    }

    fn write_out(&self, gathered: &mut Vec<u8>) {
        if !gathered.is_empty() {
            self.lines.write(gathered);
            gathered.clear();
            gathered.shrink_to(2 * GATHER_LIMIT);
        }
    }
}

impl LineDraft {
    fn complete(&self, body_bytes: u64) -> Vec<u8> {
        let mut line = Vec::with_capacity(self.line.len() + 20 * self.gaps.len());
        let mut start = 0;
        for (at, layout) in &self.gaps {
            line.extend_from_slice(&self.line[start..*at]);
            push_number(&mut line, body_bytes, *layout);
            start = *at;
        }
        line.extend_from_slice(&self.line[start..]);
        line
    }
}

fn push_number(line: &mut Vec<u8>, number: u64, layout: AtomLayout) {
    let start = line.len();
    push_decimal(line, number);
    layout.apply(line, start);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gets_its_number_of_bytes_later() {
        let draft = LineDraft {
            line: b"a c\n".to_vec(),
            gaps: [0, 2, 2].map(|at| (at, AtomLayout::default())).to_vec(),
        };
        assert_eq!(draft.complete(17), b"17a 1717c\n");
        assert_eq!(draft.complete(0), b"0a 00c\n");
    }
}
