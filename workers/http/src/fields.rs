//! The fields of a response: one buffer, and the position of each name and value in it.

use std::fmt;
use std::io::Write;

use crate::response::{InvalidResponse, check_field, push_decimal};
use crate::span::Span;

/// The memory that is kept for the next fields, in bytes.
const KEPT: usize = 4 * 1024;

/// The size of all fields together above which a field is refused, in bytes: positions have 32
/// bits.
const LARGEST: usize = 1 << 30;

/// The number of fields for which memory is kept.
const KEPT_FIELDS: usize = 32;

/// Fields, in order. The buffer holds the field lines of HTTP/1, so that HTTP/1 sends them with one
/// copy. Another protocol takes names and values by their spans.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// Field lines (RFC 9112 section 5), behind the status line in the head of a response.
    lines: Vec<u8>,
    spans: Vec<(Span, Span)>,
}

impl Fields {
    /// No fields.
    pub const fn new() -> Self {
        Self { lines: Vec::new(), spans: Vec::new() }
    }

    /// Adds a field.
    ///
    /// # Errors
    /// Those of [`check_field`], and when all fields together are larger than 1 GiB.
    pub fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidResponse> {
        check_field(name, value)?;
        self.add_checked(name, value)
    }

    /// Adds a field that has passed [`check_field`].
    ///
    /// # Errors
    /// When all fields together are larger than 1 GiB.
    pub fn add_checked(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidResponse> {
        if self.lines.len() + name.len() + value.len() > LARGEST {
            return Err(InvalidResponse::TOO_LARGE);
        }
        self.push(name, value);
        Ok(())
    }

    /// Adds a field of the server itself, which is short and needs no check.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_line(name, |lines| lines.extend_from_slice(value));
    }

    /// Adds a field of the server itself with a decimal number as the value.
    pub fn push_number(&mut self, name: &[u8], value: u64) {
        self.push_line(name, |lines| push_decimal(lines, value));
    }

    /// Adds a field of the server itself with formatted text as the value.
    pub fn push_text(&mut self, name: &[u8], value: fmt::Arguments) {
        // Writing to a vector cannot fail.
        self.push_line(name, |lines| _ = lines.write_fmt(value));
    }

    /// Adds the fields of another, which are laid out already.
    pub fn append(&mut self, other: &Self) {
        let at = self.lines.len();
        self.lines.extend_from_slice(&other.lines);
        let moved = |(name, value): &(Span, Span)| (name.moved_by(at), value.moved_by(at));
        self.spans.extend(other.spans.iter().map(moved));
    }

    /// Removes the fields of this name, in any case. Returns whether there were some.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let is_its = |(other, _): &(Span, Span)| other.of(&self.lines).eq_ignore_ascii_case(name);
        if !self.spans.iter().any(is_its) {
            return false;
        }
        let mut kept = Self { lines: self.status_line().to_vec(), spans: Vec::new() };
        self.iter()
            .filter(|it| !it.0.eq_ignore_ascii_case(name))
            .for_each(|it| kept.push(it.0, it.1));
        *self = kept;
        true
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Becomes a copy of another, in the memory that these fields have.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.lines.clone_from(&other.lines);
        self.spans.clone_from(&other.spans);
    }

    /// What stands in front of the fields.
    fn status_line(&self) -> &[u8] {
        let end = self.spans.first().map_or(self.lines.len(), |(name, _)| name.start());
        &self.lines[..end]
    }

    fn push_line(&mut self, name: &[u8], push_value: impl FnOnce(&mut Vec<u8>)) {
        let at = self.lines.len();
        self.lines.extend_from_slice(name);
        self.lines.extend_from_slice(b": ");
        let value_at = self.lines.len();
        push_value(&mut self.lines);
        let length = self.lines.len() - value_at;
        self.lines.extend_from_slice(b"\r\n");
        self.spans.push((Span::new(at, name.len()), Span::new(value_at, length)));
    }

    /// The value of the first field of this name, in any case.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.spans.iter().map(|(name, value)| (name.of(&self.lines), value.of(&self.lines)))
    }

    /// All fields as field lines, behind the status line in the head of a response.
    pub(crate) fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// Removes all fields, and begins with a status line. The version is the server's and not the
    /// request's (RFC 9110 section 6.2). The space after the status is there even without a reason
    /// phrase (RFC 9112 section 4). Returns the position of the status.
    pub(crate) fn begin_with_status(&mut self, status: &[u8]) -> Span {
        const VERSION: &[u8] = b"HTTP/1.1 ";
        self.clear();
        self.lines.extend_from_slice(VERSION);
        self.lines.extend_from_slice(status);
        self.lines.extend_from_slice(if status.len() == 3 { b" \r\n" } else { b"\r\n" });
        Span::new(VERSION.len(), status.len())
    }

    /// Removes all fields, and keeps memory for the next ones.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.lines.shrink_to(KEPT);
        self.spans.clear();
        self.spans.shrink_to(KEPT_FIELDS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_in_any_case_and_kept_in_order() {
        let mut fields = Fields::default();
        for (name, value) in [("A", "1"), ("b", ""), ("a", "2")] {
            fields.add(name.as_bytes(), value.as_bytes()).unwrap();
        }
        assert_eq!(fields.lines(), b"A: 1\r\nb: \r\na: 2\r\n");
        assert_eq!(fields.get(b"a"), Some(&b"1"[..]));
        assert_eq!(fields.get(b"B"), Some(&b""[..]));
        assert_eq!(fields.get(b"c"), None);
        let all: Vec<_> = fields.iter().collect();
        assert_eq!(all, [(&b"A"[..], &b"1"[..]), (b"b", b""), (b"a", b"2")]);
        fields.push_number(b"N", 120);
        assert_eq!(fields.get(b"n"), Some(&b"120"[..]));
        fields.push_text(b"T", format_args!("a={}", 1));
        assert_eq!(fields.get(b"t"), Some(&b"a=1"[..]));
        fields.clear();
        assert_eq!((fields.lines(), fields.iter().count()), (&b""[..], 0));
    }

    #[test]
    fn fields_that_are_appended_are_found() {
        let (mut fields, mut others) = (Fields::default(), Fields::default());
        fields.push(b"A", b"1");
        others.push(b"B", b"2");
        others.push(b"C", b"");
        fields.append(&others);
        assert_eq!(fields.lines(), b"A: 1\r\nB: 2\r\nC: \r\n");
        let all: Vec<_> = fields.iter().collect();
        assert_eq!(all, [(&b"A"[..], &b"1"[..]), (b"B", b"2"), (b"C", b"")]);
    }

    #[test]
    fn fields_are_removed_in_any_case_and_the_others_stay() {
        let mut fields = Fields::default();
        fields.begin_with_status(b"200 OK");
        for (name, value) in [("A", "1"), ("b", "2"), ("a", "3"), ("C", "")] {
            fields.add(name.as_bytes(), value.as_bytes()).unwrap();
        }
        assert!(fields.remove(b"a") && !fields.remove(b"a"));
        assert_eq!(fields.lines(), b"HTTP/1.1 200 OK\r\nb: 2\r\nC: \r\n");
        let all: Vec<_> = fields.iter().collect();
        assert_eq!(all, [(&b"b"[..], &b"2"[..]), (b"C", b"")]);
        assert!(fields.remove(b"B") && fields.remove(b"c") && fields.is_empty());
        assert_eq!(fields.lines(), b"HTTP/1.1 200 OK\r\n");
    }

    #[test]
    fn what_would_end_its_line_is_not_added() {
        let mut fields = Fields::default();
        assert!(fields.add(b"A", b"b\r\nC: d").is_err());
        assert!(fields.add(b"A\r\n", b"b").is_err());
        assert_eq!(fields.lines(), b"");
    }
}
