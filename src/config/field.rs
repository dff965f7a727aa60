//! Header fields in settings: their names and values.

use crate::row::Bounds;
use crate::value::Value;

/// Whether a text is a token (RFC 9110, section 5.6.2), such as the name of a field or method.
pub(crate) fn is_token(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_letter)
}

/// Whether a text can be the value of a field: visible ASCII, with spaces inside.
pub(crate) fn is_field_value(text: &str) -> bool {
    !text.is_empty()
        && text.trim() == text
        && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// Fields that a setting cannot add to each response, with the reason.
const REFUSED: [(&str, &str); 12] = [
    ("connection", FRAMING),
    ("content-encoding", CONTENT),
    ("content-length", FRAMING),
    ("content-range", CONTENT),
    ("date", "the server adds the time of each response"),
    ("keep-alive", FRAMING),
    ("proxy-connection", FRAMING),
    ("te", FRAMING),
    ("trailer", FRAMING),
    ("transfer-encoding", FRAMING),
    ("upgrade", FRAMING),
    ("set-cookie", "it would give each client the same cookie"),
];
const FRAMING: &str = "the server sets it for each connection and message";
const CONTENT: &str = "it describes the content of one response";

/// A header field that is added to responses. As text: `NAME=VALUE`, or `NAME: VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseField {
    /// The name as configured; names of fields are compared without regard to case.
    pub name: String,
    /// The value.
    pub value: String,
}

impl Value for ResponseField {
    const NONE: &'static [&'static str] = &["none", "off", "false"];

    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        let (name, value) = text
            .split_once(['=', ':'])
            .map(|(name, value)| (name, value.trim()))
            .ok_or_else(|| format!("cannot read {text:?} as NAME=VALUE"))?;
        if !is_token(name) {
            return Err(format!("{name:?} is not the name of a header"));
        }
        let known = REFUSED.iter().find(|(refused, _)| name.eq_ignore_ascii_case(refused));
        if let Some((_, reason)) = known {
            return Err(format!("{name} cannot be added: {reason}"));
        }
        if !is_field_value(value) {
            return Err(format!("{value:?} cannot be the value of {name}: visible ASCII only"));
        }
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }

    fn texts(&self) -> Vec<String> {
        vec![format!("{}={}", self.name, self.value)]
    }

    fn check_list(fields: &[Self]) -> Result<(), String> {
        for (index, field) in fields.iter().enumerate() {
            if fields[..index].iter().any(|it| it.name.eq_ignore_ascii_case(&field.name)) {
                return Err(format!("the header {} is in it twice", field.name));
            }
        }
        Ok(())
    }
}

/// The name of a header field that requests have and the server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldName(pub String);

/// Fields of requests whose value has a meaning for the server.
const REQUEST_FIELDS: [&str; 5] = ["authorization", "cookie", "expect", "host", "traceparent"];

impl Value for FieldName {
    const NONE: &'static [&'static str] = &["none", "off", "false"];

    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        if !is_token(text) {
            return Err(format!("{text:?} is not the name of a header"));
        }
        let refused = REFUSED.iter().map(|(name, _)| name).chain(&REQUEST_FIELDS);
        match refused.into_iter().find(|name| text.eq_ignore_ascii_case(name)) {
            Some(_) => Err(format!("{text} has a meaning of its own; example: X-Request-ID")),
            None => Ok(Self(text.to_owned())),
        }
    }

    fn texts(&self) -> Vec<String> {
        vec![self.0.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Vec<ResponseField>, String> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        Vec::read(&words, None)
    }

    #[test]
    fn a_field_has_a_name_and_a_value() {
        let fields = read(&["X-Frame-Options: DENY", "Link=</a>; rel=preload"]).unwrap();
        let texts = fields.texts();
        assert_eq!(texts, ["X-Frame-Options=DENY", "Link=</a>; rel=preload"]);
        assert_eq!(Vec::read(&texts, None), Ok(fields));
        for word in ["none", "off"] {
            assert_eq!(read(&[word]), Ok(Vec::new()), "{word}");
        }
        assert_eq!(Vec::<ResponseField>::new().texts(), ["none"]);
    }

    #[test]
    fn fields_of_the_protocol_and_bad_bytes_are_refused() {
        for (text, part) in [
            ("X-A", "cannot read \"X-A\" as NAME=VALUE"),
            ("=a", "\"\" is not the name of a header"),
            ("X A=b", "\"X A\" is not the name of a header"),
            ("X-A=", "\"\" cannot be the value of X-A"),
            ("X-A=a\r\nB: c", "\"a\\r\\nB: c\" cannot be the value of X-A: visible ASCII only"),
            ("X-A=\u{e4}", "visible ASCII only"),
            ("Content-Length=1", "Content-Length cannot be added: the server sets it for each"),
            ("transfer-encoding: chunked", "transfer-encoding cannot be added"),
            ("CONNECTION=close", "CONNECTION cannot be added"),
            ("Date=now", "the server adds the time"),
        ] {
            let reason = read(&[text]).unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
        assert_eq!(read(&["A=b", "a=c"]).unwrap_err(), "the header a is in it twice");
        assert_eq!(read(&["A=b", "none"]).unwrap_err(), "none cannot stand beside other values");
    }

    #[test]
    fn a_name_has_no_meaning_for_the_server() {
        let name = |text: &str| Option::<FieldName>::parse(text, None);
        let known = Some(FieldName("X-Request-ID".to_owned()));
        assert_eq!(name("X-Request-ID"), Ok(known));
        for word in ["none", "off", "false"] {
            assert_eq!(name(word), Ok(None), "{word}");
        }
        assert_eq!(Option::<FieldName>::None.texts(), ["none"]);
        for (text, reason) in [
            ("", "\"\" is not the name of a header"),
            ("X Y", "\"X Y\" is not the name of a header"),
            ("Host", "Host has a meaning of its own; example: X-Request-ID"),
            ("content-LENGTH", "content-LENGTH has a meaning of its own; example: X-Request-ID"),
        ] {
            assert_eq!(name(text).unwrap_err(), reason);
        }
    }
}
