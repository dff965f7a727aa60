//! The head of a response as data: status and fields.

use crate::fields::Fields;
use crate::response::{InvalidResponse, check_status, push_decimal, reason};
use crate::span::Span;

/// The head of a response: a status and fields. It can be used again: [`clear`] keeps memory.
///
/// ```
/// use monoceros_http::ResponseHead;
///
/// let mut head = ResponseHead::default();
/// head.begin(b"200 OK").unwrap();
/// head.fields.add(b"Content-Type", b"text/plain").unwrap();
/// assert_eq!(head.status(), 200);
/// assert_eq!(head.fields.get(b"content-type"), Some(&b"text/plain"[..]));
/// ```
///
/// [`clear`]: ResponseHead::clear
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    number: u16,
    /// The position of the status: the number, and a reason phrase if there is one.
    status: Span,
    /// The fields.
    pub fields: Fields,
}

impl ResponseHead {
    /// Removes everything.
    pub fn clear(&mut self) {
        (self.number, self.status) = (0, Span::default());
        self.fields.clear();
    }

    /// Sets the status, such as `200 OK`, and removes all fields.
    ///
    /// # Errors
    /// Those of [`check_status`]; the head is empty afterwards.
    pub fn begin(&mut self, status: &[u8]) -> Result<u16, InvalidResponse> {
        match check_status(status) {
            Ok(number) => self.set(number, status),
            Err(invalid) => {
                self.clear();
                return Err(invalid);
            }
        }
        Ok(self.number)
    }

    /// Sets a status of the server itself, with its standard reason phrase, and removes all fields.
    pub fn begin_own(&mut self, status: u16) {
        let mut text = Vec::new();
        push_decimal(&mut text, status.into());
        text.push(b' ');
        text.extend_from_slice(reason(status).as_bytes());
        self.set(status, &text);
    }

    /// Replaces the status by one of the server itself. All fields stay.
    pub fn change_status(&mut self, status: u16) {
        let before = std::mem::take(&mut self.fields);
        self.begin_own(status);
        before.iter().for_each(|(name, value)| self.fields.push(name, value));
    }

    /// Becomes a copy of another head, in the memory that this one has.
    pub fn copy_from(&mut self, other: &Self) {
        (self.number, self.status) = (other.number, other.status);
        self.fields.copy_from(&other.fields);
    }

    fn set(&mut self, number: u16, status: &[u8]) {
        (self.number, self.status) = (number, self.fields.begin_with_status(status));
    }

    /// The status code; 0 if none is set.
    pub fn status(&self) -> u16 {
        self.number
    }

    /// The status code and the reason phrase.
    pub fn status_text(&self) -> &[u8] {
        self.status.of(self.fields.lines())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_begins_anew_has_no_fields() {
        let mut head = ResponseHead::default();
        head.begin(b"200 OK").unwrap();
        head.fields.add(b"A", b"b").unwrap();
        assert_eq!(head.begin(b"404"), Ok(404));
        assert_eq!((head.status_text(), head.fields.iter().count()), (&b"404"[..], 0));
        assert!(head.begin(b"OK").is_err());
        assert_eq!((head.status(), head.status_text()), (0, &b""[..]));
        head.begin_own(503);
        assert_eq!(head.status_text(), b"503 Service Unavailable");
    }

    #[test]
    fn a_status_is_changed_and_the_fields_stay() {
        let mut head = ResponseHead::default();
        head.begin(b"200 Fine").unwrap();
        head.fields.add(b"A", b"b").unwrap();
        head.change_status(206);
        assert_eq!((head.status(), head.status_text()), (206, &b"206 Partial Content"[..]));
        assert_eq!(head.fields.get(b"a"), Some(&b"b"[..]));
        let mut copy = ResponseHead::default();
        copy.begin(b"404").unwrap();
        copy.copy_from(&head);
        assert_eq!(
            (copy.status_text(), copy.fields.lines()),
            (head.status_text(), head.fields.lines())
        );
    }
}
