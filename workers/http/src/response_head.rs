//! The head of a response as data: status and fields.

use crate::fields::Fields;
use crate::response::{InvalidResponse, check_status, push_decimal, reason};

/// The memory that is kept for the next status, in bytes.
const KEPT_STATUS: usize = 64;

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
#[derive(Debug, Default)]
pub struct ResponseHead {
    number: u16,
    /// The status: the number, and a reason phrase if there is one.
    status: Vec<u8>,
    /// The fields.
    pub fields: Fields,
}

impl ResponseHead {
    /// Removes everything.
    pub fn clear(&mut self) {
        self.number = 0;
        self.status.clear();
        self.status.shrink_to(KEPT_STATUS);
        self.fields.clear();
    }

    /// Sets the status, such as `200 OK`, and removes all fields.
    ///
    /// # Errors
    /// Those of [`check_status`]; the head is empty afterwards.
    pub fn begin(&mut self, status: &[u8]) -> Result<u16, InvalidResponse> {
        self.clear();
        self.number = check_status(status)?;
        self.status.extend_from_slice(status);
        Ok(self.number)
    }

    /// Sets a status of the server itself, with its standard reason phrase, and removes all fields.
    pub fn begin_own(&mut self, status: u16) {
        self.clear();
        self.number = status;
        push_decimal(&mut self.status, status.into());
        self.status.push(b' ');
        self.status.extend_from_slice(reason(status).as_bytes());
    }

    /// The status code; 0 if none is set.
    pub fn status(&self) -> u16 {
        self.number
    }

    /// The status code and the reason phrase.
    pub fn status_text(&self) -> &[u8] {
        &self.status
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
        assert_eq!((head.status_text(), head.fields.lines()), (&b"404"[..], &b""[..]));
        assert!(head.begin(b"OK").is_err());
        assert_eq!((head.status(), head.status_text()), (0, &b""[..]));
        head.begin_own(503);
        assert_eq!(head.status_text(), b"503 Service Unavailable");
    }
}
