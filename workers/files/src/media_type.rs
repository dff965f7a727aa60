//! Media types by the ending of a name.

/// The type of content of which nothing is known.
const UNKNOWN: &str = "application/octet-stream";

/// The present name of a type that the table has by its former one for some endings (RFC 9239).
const JAVASCRIPT: (&str, &str) = ("application/javascript", "text/javascript");

/// The value of Content-Type for a file. Text has a charset: without one a client guesses, and
/// files of projects are UTF-8 (RFC 3629) where they are not ASCII. The types of JSON and of its
/// kinds have no such parameter (RFC 8259 section 11).
pub(crate) fn content_type(name: &[u8]) -> String {
    let known = ending(name).and_then(|ending| new_mime_guess::from_ext(ending).first_raw());
    let known = known.map_or(UNKNOWN, |it| if it == JAVASCRIPT.0 { JAVASCRIPT.1 } else { it });
    if known.starts_with("text/") { format!("{known}; charset=utf-8") } else { known.to_owned() }
}

/// The part of a name behind its last dot.
fn ending(name: &[u8]) -> Option<&str> {
    let file = name.rsplit(|&byte| byte == b'/').next()?;
    let dot = file.iter().rposition(|&byte| byte == b'.')?;
    std::str::from_utf8(&file[dot + 1..]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_of_a_site() {
        for (name, expected) in [
            ("a.html", "text/html; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a/b.JS", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.csv", "text/csv; charset=utf-8"),
            ("a.js.map", "application/json"),
            ("a.json", "application/json"),
            ("a.webmanifest", "application/manifest+json"),
            ("a.wasm", "application/wasm"),
            ("a.svg", "image/svg+xml"),
            ("a.png", "image/png"),
            ("a.jpg", "image/jpeg"),
            ("a.webp", "image/webp"),
            ("a.avif", "image/avif"),
            ("a.ico", "image/vnd.microsoft.icon"),
            ("a.woff2", "font/woff2"),
            ("a.woff", "font/woff"),
            ("a.ttf", "font/ttf"),
            ("a.mp4", "video/mp4"),
            ("a.pdf", "application/pdf"),
            ("a.xml", "application/xml"),
            ("a.gz", "application/gzip"),
            ("a.css.gz", "application/gzip"),
            ("a.zip", "application/zip"),
            ("a", UNKNOWN),
            ("a.", UNKNOWN),
            ("a.unheard-of", UNKNOWN),
            ("a.b/c", UNKNOWN),
            ("a.\u{e4}", UNKNOWN),
        ] {
            assert_eq!(content_type(name.as_bytes()), expected, "{name}");
        }
    }
}
