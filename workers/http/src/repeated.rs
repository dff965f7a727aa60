//! Fields of one name on several lines (RFC 9110 section 5.3).

use std::collections::HashMap;

/// A name as its first line has it, and the joined values of all its lines.
struct Joined<'a> {
    name: &'a [u8],
    value: Vec<u8>,
    lines: usize,
}

/// The fields that have several lines, in no order: each name as its first line has it, and its
/// values, joined by a comma (RFC 9110 section 5.3), those of Cookie by a semicolon (RFC 6265
/// section 4.2.1). Names that differ in dashes and underscores only count as one: they become the
/// same variable (RFC 3875 section 4.1.18). The time is proportional to the number of bytes.
///
/// ```
/// let fields = [(&b"A"[..], &b"1"[..]), (b"B", b"2"), (b"a", b"3")];
/// let joined: Vec<_> = monoceros_http::join_repeated(fields.into_iter()).collect();
/// assert_eq!(joined, [(&b"A"[..], b"1,3".to_vec())]);
/// ```
pub fn join_repeated<'a>(
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> impl Iterator<Item = (&'a [u8], Vec<u8>)> {
    let mut names: HashMap<Vec<u8>, Joined> = HashMap::new();
    for (name, value) in fields {
        let key: Vec<u8> = name.iter().map(letter_of_variable).collect();
        let separator: &[u8] = if key == b"cookie" { b"; " } else { b"," };
        let joined = names.entry(key).or_insert(Joined { name, value: Vec::new(), lines: 0 });
        if joined.lines > 0 {
            joined.value.extend_from_slice(separator);
        }
        joined.value.extend_from_slice(value);
        joined.lines += 1;
    }
    names.into_values().filter(|it| it.lines > 1).map(|it| (it.name, it.value))
}

fn letter_of_variable(byte: &u8) -> u8 {
    match byte {
        b'-' => b'_',
        byte => byte.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut joined: Vec<_> =
            join_repeated(fields).map(|(name, value)| (text(name), text(&value))).collect();
        joined.sort();
        joined
    }

    #[test]
    fn only_what_repeats_is_joined() {
        assert_eq!(joined(&[]), []);
        assert_eq!(joined(&[("A", "1"), ("B", "2")]), []);
        let fields = [
            ("X-A", "1"),
            ("Cookie", "a=1"),
            ("B", "2"),
            ("x-a", ""),
            ("COOKIE", "b=2"),
            ("X-a", "3, 4"),
        ];
        let mapped = [("X-A", "1"), ("x_a", "2"), ("X_A", "3")];
        assert_eq!(joined(&mapped), [("X-A".to_owned(), "1,2,3".to_owned())]);
        let expected = [("Cookie", "a=1; b=2"), ("X-A", "1,,3, 4")];
        assert_eq!(joined(&fields), expected.map(|(name, value)| (name.into(), value.into())));
    }
}
