//! Which identifier a request has: the client's own, from the field that the settings name, or
//! one that is made of the worker's prefix and the request's number.

use monoceros_http::Head;
use monoceros_wire::request_id::{IdPrefix, RequestId};

/// The rule of a worker.
#[derive(Debug)]
pub(crate) struct RequestIds {
    /// The name of the field; `None` reads none.
    field: Option<Box<[u8]>>,
    prefix: IdPrefix,
}

impl RequestIds {
    pub(crate) fn new(field: Option<Box<[u8]>>, prefix: IdPrefix) -> Self {
        Self { field, prefix }
    }

    /// Sets the identifier of the request of this number. Of a repeated field the first counts.
    pub(crate) fn identify(&self, id: &mut RequestId, head: &Head, number: u64) {
        let given = self.field.as_deref().and_then(|name| {
            let may_have = head.name_lengths() & Head::name_length(name.len()) != 0;
            may_have.then(|| head.field(name)).flatten()
        });
        if !given.is_some_and(|given| id.take(given)) {
            id.make(&self.prefix, number);
        }
    }

    /// The identifier of the request of this number.
    pub(crate) fn id_of(&self, head: &Head, number: u64) -> RequestId {
        let mut id = RequestId::NONE;
        self.identify(&mut id, head, number);
        id
    }

    /// The identifier of a request of which nothing could be read.
    pub(crate) fn made(&self, number: u64) -> RequestId {
        RequestId::made(&self.prefix, number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_options::LIMITS;

    fn id(field: Option<&str>, fields: &str) -> String {
        let mut head = Head::new();
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        head.read(text.as_bytes(), &LIMITS).unwrap().unwrap();
        let field = field.map(|name| name.as_bytes().into());
        RequestIds::new(field, IdPrefix::of(1)).id_of(&head, 255).to_string()
    }

    #[test]
    fn a_valid_identifier_of_the_client_is_kept_and_another_replaced() {
        const MADE: &str = "000000000001-ff";
        let named = |value: &str| id(Some("X-Request-ID"), &format!("x-request-id: {value}\r\n"));
        assert_eq!(named("4bf9.2f_3-7"), "4bf9.2f_3-7");
        assert_eq!(named(&"a".repeat(128)), "a".repeat(128));
        for odd in ["", "a b", "a:b", "a\u{e9}", "<a>", &"a".repeat(129)] {
            assert_eq!(named(odd), MADE, "{odd}");
        }
        assert_eq!(id(Some("X-Request-ID"), ""), MADE);
        assert_eq!(id(None, "X-Request-ID: a\r\n"), MADE);
        assert_eq!(id(Some("Trace"), "X-Request-ID: a\r\nTRACE: b\r\n"), "b");
        assert_eq!(id(Some("X-Id"), "X-Id: a\r\nX-Id: b\r\n"), "a");
    }
}
