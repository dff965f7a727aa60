//! The format of the access log: its atoms, its grammar, and the compiled form that the
//! engine uses to write lines.

use crate::access_directive::{AccessDirective, AtomLayout};
use crate::row::Bounds;
use crate::value::{Value, not_empty};

/// The meaning of an atom of the format; the letters are gunicorn's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessAtom {
    /// The client's address.
    Peer,
    /// A dash.
    Dash,
    /// The user name of basic authentication.
    User,
    /// The date of the request.
    Time,
    /// The request line.
    RequestLine,
    /// The method.
    Method,
    /// The path without the query.
    Path,
    /// The query.
    Query,
    /// The protocol.
    Protocol,
    /// The status.
    Status,
    /// The length of the body sent.
    Bytes,
    /// The header Referer; of several all, separated by commas.
    Referer,
    /// The header User-Agent; of several all, separated by commas.
    UserAgent,
    /// The time taken in whole seconds.
    Seconds,
    /// The time taken in milliseconds.
    Milliseconds,
    /// The time taken in microseconds.
    Microseconds,
    /// The time taken in seconds with six decimals.
    DecimalSeconds,
    /// The worker's pid.
    Pid,
    /// A header of the request, in lower case; of several the last.
    RequestField(String),
    /// A header of the response, in lower case; of several the last.
    ResponseField(String),
    /// A variable of the WSGI environment, in any case.
    Variable(String),
}

/// An atom's letters, its description, and its meaning.
type Named = (&'static str, &'static str, fn() -> AccessAtom);

/// The atoms that have no name in braces.
const PLAIN: [Named; 19] = [
    ("h", "address of the client", || AccessAtom::Peer),
    ("l", "always `-`", || AccessAtom::Dash),
    ("u", "user name of basic authentication", || AccessAtom::User),
    ("t", "date of the request", || AccessAtom::Time),
    ("r", "request line", || AccessAtom::RequestLine),
    ("m", "method", || AccessAtom::Method),
    ("U", "path without query", || AccessAtom::Path),
    ("q", "query", || AccessAtom::Query),
    ("H", "protocol", || AccessAtom::Protocol),
    ("s", "status", || AccessAtom::Status),
    ("B", "length of the body sent, bytes", || AccessAtom::Bytes),
    ("b", "the same", || AccessAtom::Bytes),
    ("f", "Referer", || AccessAtom::Referer),
    ("a", "User-Agent", || AccessAtom::UserAgent),
    ("T", "time taken, whole seconds", || AccessAtom::Seconds),
    ("M", "time taken, milliseconds", || AccessAtom::Milliseconds),
    ("D", "time taken, microseconds", || AccessAtom::Microseconds),
    ("L", "time taken, seconds with six decimals", || AccessAtom::DecimalSeconds),
    ("p", "process of the worker", || AccessAtom::Pid),
];

/// The atoms with a name in braces.
const BRACED: [(&str, &str); 3] = [
    ("{name}i", "header of the request"),
    ("{name}o", "header of the response"),
    ("{name}e", "variable of the WSGI environment"),
];

/// The text between the parentheses of `%(...)s`, and its description.
pub(crate) const ATOMS: [(&str, &str); PLAIN.len() + BRACED.len()] = {
    let mut atoms = [("", ""); PLAIN.len() + BRACED.len()];
    let mut at = 0;
    while at < atoms.len() {
        atoms[at] =
            if at < PLAIN.len() { (PLAIN[at].0, PLAIN[at].1) } else { BRACED[at - PLAIN.len()] };
        at += 1;
    }
    atoms
};

/// A part of the format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessPiece {
    /// Text that is the same in each line.
    Text(String),
    /// A value of the request.
    Atom(AccessAtom, AtomLayout),
}

/// A compiled format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessFormat {
    text: String,
    pieces: Vec<AccessPiece>,
}

impl AccessFormat {
    /// Compiles a format.
    ///
    /// # Errors
    /// For an atom that is unknown or has no end; the text names it.
    pub fn new(format: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            text.push_str(&rest[..at]);
            let directive = &rest[at + 1..];
            rest = if let Some(after) = directive.strip_prefix('%') {
                text.push('%');
                after
            } else {
                let (atom, layout, after) = read_atom(directive)?;
                if !text.is_empty() {
                    pieces.push(AccessPiece::Text(std::mem::take(&mut text)));
                }
                pieces.push(AccessPiece::Atom(atom, layout));
                after
            };
        }
        text.push_str(rest);
        if !text.is_empty() {
            pieces.push(AccessPiece::Text(text));
        }
        Ok(Self { text: format.to_owned(), pieces })
    }

    /// gunicorn's default format.
    #[must_use]
    pub fn usual() -> Self {
        Self::new(r#"%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s""#)
            .expect("a test reads the default of each row")
    }

    /// Its parts in order.
    #[must_use]
    pub fn pieces(&self) -> &[AccessPiece] {
        &self.pieces
    }
}

impl Value for AccessFormat {
    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        not_empty(text)?;
        Self::new(text)
    }

    fn texts(&self) -> Vec<String> {
        vec![self.text.clone()]
    }
}

/// Reads `(NAME)s`, and returns what follows it.
fn read_atom(text: &str) -> Result<(AccessAtom, AtomLayout, &str), String> {
    let (directive, rest) = AccessDirective::read(text)?;
    let name = directive.name;
    let known = || ATOMS.map(|(letters, _)| letters).join(" ");
    let atom =
        atom(name).ok_or_else(|| format!("unknown atom %({name})s; known are {}", known()))?;
    if directive.has_usual_letter() {
        Ok((atom, directive.layout, rest))
    } else {
        Err(format!("%({name}){}: an atom ends in s: %({name})s", directive.letter))
    }
}

/// Writes a format so that it is valid and has gunicorn's meaning: an unknown atom becomes a
/// dash. Also returns the parts that have changed.
pub(crate) fn adapted(format: &str) -> (String, Vec<String>) {
    let (mut out, mut changed) = (String::new(), Vec::new());
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let text = &rest[at + 1..];
        rest = if let Some(after) = text.strip_prefix('%') {
            out.push_str("%%");
            after
        } else {
            let (valid, after) = adapted_directive(text);
            let written = &rest[at..rest.len() - after.len()];
            if valid != written {
                changed.push(written.to_owned());
            }
            out.push_str(&valid);
            after
        };
    }
    out.push_str(rest);
    (out, changed)
}

/// Writes the directive at the beginning of `text`, and returns what follows it.
fn adapted_directive(text: &str) -> (String, &str) {
    match AccessDirective::read(text) {
        Ok((directive, after)) => {
            let name = if atom(directive.name).is_some() { directive.name } else { "l" };
            let letter = if directive.has_usual_letter() { directive.letter } else { 's' };
            (format!("%({name}){}{letter}", directive.flags), after)
        }
        Err(_) => ("%%".to_owned(), text),
    }
}

fn atom(name: &str) -> Option<AccessAtom> {
    let Some((named, kind)) = name.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
        return PLAIN.iter().find(|(letters, ..)| *letters == name).map(|(.., make)| make());
    };
    match kind.to_ascii_lowercase().as_str() {
        _ if named.is_empty() => None,
        "i" => Some(AccessAtom::RequestField(named.to_ascii_lowercase())),
        "o" => Some(AccessAtom::ResponseField(named.to_ascii_lowercase())),
        "e" => Some(AccessAtom::Variable(named.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: &str) -> Result<(), String> {
        AccessFormat::new(format).map(drop)
    }

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_format_is_text_and_atoms() {
        let format = AccessFormat::new("a%% %(r)s%({X-A}o)s").unwrap();
        let text = AccessPiece::Text("a% ".to_owned());
        let field = AccessAtom::ResponseField("x-a".to_owned());
        let atoms = [AccessAtom::RequestLine, field];
        let atoms = atoms.map(|atom| AccessPiece::Atom(atom, AtomLayout::default()));
        assert_eq!(format.pieces(), [&[text][..], &atoms].concat());
        assert_eq!(format.texts(), ["a%% %(r)s%({X-A}o)s"]);
    }

    #[test]
    fn every_atom_of_gunicorn_is_known() {
        for atom in ["h", "l", "u", "t", "r", "m", "U", "q", "H", "s", "B", "b", "f", "a"] {
            assert_eq!(check(&format!("%({atom})s")), Ok(()));
        }
        assert_eq!(check("%(T)s %(M)d %(D)s %(L)s %(p)s 100%% \"%({x-id}i)s\""), Ok(()));
        assert_eq!(check("%({content-type}o)s %({wsgi.url_scheme}e)s"), Ok(()));
        assert_eq!(check("%({A}I)s%({A}O)s%({A}E)s"), Ok(()), "gunicorn ignores the case");
        assert_eq!(check("no atom"), Ok(()));
    }

    #[test]
    fn an_unknown_atom_gets_the_list() {
        let reason = check("%(h)s %(x)s").unwrap_err();
        assert!(reason.starts_with("unknown atom %(x)s; known are h l u t r"), "{reason}");
        assert!(reason.ends_with("{name}i {name}o {name}e"), "{reason}");
        assert!(check("%({}i)s").is_err());
        assert!(check("%({name}x)s").is_err());
        assert!(check("%({name}e").is_err());
    }

    #[test]
    fn broken_directives_are_refused() {
        for format in ["%", "100% sure", "%h", "%(h", "%(h)", "%(h)x", "%%%", "%é", "%(h)9999s"] {
            assert!(check(format).is_err(), "{format}");
        }
        assert_eq!(check("%(h)-15s %(D)06d %(a).40s"), Ok(()));
    }

    #[test]
    fn what_gunicorn_accepts_becomes_valid() {
        for (format, expected, parts) in [
            ("%(h)s 100%% %(D)06d", "%(h)s 100%% %(D)06d", &[][..]),
            ("%(asctime)s|%()-5s", "%(l)s|%(l)-5s", &["%(asctime)s", "%()-5s"]),
            ("%(h)r", "%(h)s", &["%(h)r"]),
            ("100% sure", "100%% sure", &["%"]),
            ("%(h", "%%(h", &["%"]),
            ("é%", "é%%", &["%"]),
        ] {
            let (text, changed) = adapted(format);
            assert_eq!((text.as_str(), changed.as_slice()), (expected, &*texts(parts)));
            assert_eq!(check(&text), Ok(()));
        }
    }
}
