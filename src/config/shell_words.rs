//! Splits text into words by the quotes and backslashes of a POSIX shell, as Python's
//! `shlex.split` does. Nothing is expanded.

/// Splits `text`; fails for a quote without an end, and for a backslash at the end.
pub(crate) fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => until_quote(&mut letters, word.get_or_insert_default())?,
            '"' => until_double_quote(&mut letters, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(letters.next().ok_or("ends in a backslash")?),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Ok(words)
}

const OPEN: &str = "a quote is not closed";

fn until_quote(letters: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    loop {
        match letters.next().ok_or(OPEN)? {
            '\'' => return Ok(()),
            letter => word.push(letter),
        }
    }
}

fn until_double_quote(letters: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    loop {
        match letters.next().ok_or(OPEN)? {
            '"' => return Ok(()),
            // Within double quotes a backslash before another character is itself.
            '\\' => match letters.next().ok_or(OPEN)? {
                escaped @ ('"' | '\\') => word.push(escaped),
                other => word.extend(['\\', other]),
            },
            letter => word.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_are_the_shells() {
        for (text, words) in [
            ("", vec![]),
            ("  a  b\n", vec!["a", "b"]),
            ("a'b c'd", vec!["ab cd"]),
            ("\"a \\\" \\\\ \\n\"", vec!["a \" \\ \\n"]),
            ("a\\ b ''", vec!["a b", ""]),
            ("'a\\'", vec!["a\\"]),
        ] {
            assert_eq!(split(text).unwrap(), words, "{text}");
        }
        for text in ["'a", "\"a", "a\\", "\"a\\"] {
            assert!(split(text).is_err(), "{text}");
        }
    }
}
