//! Types of settings: what is taken from a proxy in front of the server.

use crate::choice::choice;
use crate::field::{is_field_value, is_token};
use crate::row::{Arity, Bounds};
use crate::value::{Value, alone_if_none};

choice! {
    /// Whether connections begin with a header of the PROXY protocol.
    ProxyMode, takes Arity::Optional;
    Off = "off" | "false" | "no" | "0" | "none", "no connection begins with a header";
    Auto = "auto" | "true" | "yes" | "on" | "1", "connections with and without a header are served";
    V1 = "v1", "each connection begins with a header of version 1 (text)";
    V2 = "v2", "each connection begins with a header of version 2 (binary)";
}

choice! {
    /// What happens to a header with an underscore in its name.
    HeaderMap, takes Arity::One;
    Drop = "drop", "the header is removed";
    Refuse = "refuse", "the request is answered 400";
    Dangerous = "dangerous", "the header becomes the same variable as one with a dash in its name";
}

choice! {
    /// The header that names the client's address.
    RealIp, takes Arity::One;
    Off = "off" | "false" | "none", "no header; the address is that of the connection";
    XForwardedFor = "x-forwarded-for", "`X-Forwarded-For`";
    Forwarded = "forwarded", "`Forwarded` (RFC 7239)";
}

/// The word for a list that is meant to be empty.
const NONE: &str = "none";

/// A header by which a proxy reports that its client uses https.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemeHeader {
    /// The name as configured; header names are compared without regard to case.
    pub name: String,
    /// The value that means https, compared exactly.
    pub value: String,
}

/// The headers by which a proxy reports that its client uses https. It may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemeHeaders(pub Vec<SchemeHeader>);

impl Default for SchemeHeaders {
    /// As in gunicorn.
    fn default() -> Self {
        let headers = [
            ("X-FORWARDED-PROTOCOL", "ssl"),
            ("X-FORWARDED-PROTO", "https"),
            ("X-FORWARDED-SSL", "on"),
        ];
        Self(headers.map(|(name, value)| SchemeHeader::new(name, value)).to_vec())
    }
}

impl SchemeHeader {
    fn new(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), value: value.to_owned() }
    }
}

impl Value for SchemeHeaders {
    const TAKES: Arity = Arity::List;

    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        if text == NONE {
            return Ok(Self(Vec::new()));
        }
        match text.split_once('=') {
            Some((name, value)) if is_token(name) && is_field_value(value) => {
                Ok(Self(vec![SchemeHeader::new(name, value)]))
            }
            _ => Err(format!("cannot read {text:?} as HEADER=VALUE, or none")),
        }
    }

    fn texts(&self) -> Vec<String> {
        if self.0.is_empty() {
            return vec![NONE.to_owned()];
        }
        self.0.iter().map(|it| format!("{}={}", it.name, it.value)).collect()
    }

    fn read(texts: &[String], range: Bounds) -> Result<Self, String> {
        let mut headers: Vec<SchemeHeader> = Vec::new();
        for text in texts {
            for header in Self::parse(text, range)?.0 {
                if headers.iter().any(|known| known.name.eq_ignore_ascii_case(&header.name)) {
                    return Err(format!("the header {} is in it twice", header.name));
                }
                headers.push(header);
            }
        }
        alone_if_none(texts, &[NONE])?;
        Ok(Self(headers))
    }
}

/// Names, separated by commas. It may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameList(pub Vec<String>);

impl NameList {
    /// The default of `forwarder-headers`, as in gunicorn.
    pub(crate) fn forwarders() -> Self {
        Self(vec!["SCRIPT_NAME".to_owned(), "PATH_INFO".to_owned()])
    }
}

impl Value for NameList {
    const TAKES: Arity = Arity::List;

    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        if text == NONE {
            return Ok(Self(Vec::new()));
        }
        let names: Vec<_> =
            text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        match names.iter().find(|name| !is_token(name)) {
            Some(name) => Err(format!("{name:?} is not the name of a header")),
            None => Ok(Self(names.into_iter().map(str::to_owned).collect())),
        }
    }

    fn texts(&self) -> Vec<String> {
        if self.0.is_empty() { vec![NONE.to_owned()] } else { vec![self.0.join(",")] }
    }

    fn read(texts: &[String], range: Bounds) -> Result<Self, String> {
        let mut names = Vec::new();
        for text in texts {
            names.extend(Self::parse(text, range)?.0);
        }
        alone_if_none(texts, &[NONE])?;
        Ok(Self(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn the_modes_of_the_proxy_protocol_have_gunicorns_spellings() {
        for (text, mode) in [
            ("off", ProxyMode::Off),
            ("False", ProxyMode::Off),
            ("none", ProxyMode::Off),
            ("true", ProxyMode::Auto),
            ("auto", ProxyMode::Auto),
            ("V1", ProxyMode::V1),
            ("v2", ProxyMode::V2),
        ] {
            assert_eq!(ProxyMode::parse(text, None), Ok(mode), "{text}");
            assert_eq!(ProxyMode::parse(&mode.texts()[0], None), Ok(mode));
        }
        let reason = ProxyMode::parse("v3", None).unwrap_err();
        assert_eq!(reason, "\"v3\" is not one of off, auto, v1, v2");
    }

    #[test]
    fn scheme_headers_are_pairs() {
        let read = |words: &[&str]| SchemeHeaders::read(&texts(words), None);
        let headers = read(&["X-Forwarded-Proto=https", "Front-End-Https=on"]).unwrap();
        assert_eq!(headers.0[1], SchemeHeader::new("Front-End-Https", "on"));
        assert_eq!(SchemeHeaders::read(&headers.texts(), None), Ok(headers));
        let empty = read(&["none"]).unwrap();
        assert_eq!((empty.0.len(), empty.texts()), (0, texts(&["none"])));
        assert!(read(&["none", "A=b"]).unwrap_err().contains("beside other values"));
        assert!(read(&["A=b", "a=c"]).unwrap_err().contains("twice"));
        for text in ["", "A", "A=", "=b", "A B=c", "A= b", "A=\u{e4}"] {
            assert!(SchemeHeaders::parse(text, None).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_separated_by_commas_or_repeated() {
        let read = |words: &[&str]| NameList::read(&texts(words), None);
        let names = read(&["SCRIPT_NAME, PATH_INFO", "REMOTE_USER"]).unwrap();
        assert_eq!(names.0, ["SCRIPT_NAME", "PATH_INFO", "REMOTE_USER"]);
        assert_eq!(NameList::read(&names.texts(), None), Ok(names));
        for empty in ["none", "", ","] {
            assert_eq!(read(&[empty]).unwrap().texts(), ["none"], "{empty:?}");
        }
        assert_eq!(read(&["a b"]).unwrap_err(), "\"a b\" is not the name of a header");
    }
}
