//! The identifiers of the trace that a request belongs to, as its caller has sent them.

/// A trace, and the caller's span in it (W3C Trace Context).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceIds {
    pub(crate) trace: u128,
    pub(crate) span: u64,
}

impl TraceIds {
    /// Reads them: 32 and 16 hexadecimal digits.
    #[must_use]
    pub fn parse(trace_id: &str, span_id: &str) -> Option<Self> {
        let trace = u128::from_str_radix(trace_id, 16).ok()?;
        Some(Self { trace, span: u64::from_str_radix(span_id, 16).ok()? })
    }

    /// The facts of a record about the request.
    #[must_use]
    pub fn facts(self) -> [(&'static str, String); 2] {
        let Self { trace, span } = self;
        [("trace_id", format!("{trace:032x}")), ("span_id", format!("{span:016x}"))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_keep_all_their_digits() {
        for (trace, span) in [
            ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"),
            ("00000000000000000000000000000001", "ffffffffffffffff"),
        ] {
            let found = TraceIds::parse(trace, span).unwrap().facts();
            let expected = [("trace_id", trace.to_owned()), ("span_id", span.to_owned())];
            assert_eq!(found, expected);
        }
        assert_eq!(TraceIds::parse("x", "1"), None);
        assert_eq!(TraceIds::parse("1", ""), None);
    }
}
