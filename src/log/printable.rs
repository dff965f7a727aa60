//! Escapes what text from outside must not do to a log or a terminal: end a line, control
//! the terminal, or change the order in which characters are shown.

use std::fmt::Write as _;

/// The maximum number of characters in one line, before they are escaped.
const LONGEST_LINE: usize = 500;

/// One line, cut to the maximum length, with each unsafe character escaped.
#[must_use]
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().take(LONGEST_LINE).for_each(|letter| push(&mut out, letter));
    out
}

/// Several lines, with each unsafe character but line ends and tabs escaped.
#[must_use]
pub fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\t' => out.push(letter),
            _ => push(&mut out, letter),
        }
    }
    out
}

/// Appends a character, escaped if it is unsafe.
fn push(out: &mut String, letter: char) {
    // Writing to a String cannot fail.
    let written = match letter {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        _ if !is_unsafe(letter) => out.write_char(letter),
        _ if letter < '\u{100}' => write!(out, "\\x{:02x}", u32::from(letter)),
        _ => write!(out, "\\u{:04x}", u32::from(letter)),
    };
    debug_assert!(written.is_ok());
}

/// Whether a character can end a line, control a terminal, or change the order of the others:
/// control characters, the separators of lines and paragraphs, and the controls of
/// bidirectional text (UAX 9).
#[must_use]
pub fn is_unsafe(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_reaches_the_terminal() {
        assert_eq!(text("a\u{1b}[31m\n\tb\r\u{9b}\0"), "a\\x1b[31m\n\tb\\r\\x9b\\x00");
        assert_eq!(line("a\n[ERROR]\tb"), "a\\n[ERROR]\\tb");
        assert_eq!(line(&"é".repeat(1000)).chars().count(), LONGEST_LINE);
    }

    #[test]
    fn what_some_readers_take_for_a_line_end_is_escaped() {
        // The line ends of Python's `str.splitlines`.
        for end in ['\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}'] {
            assert_eq!(text(&format!("a{end}b")).len(), if end == '\r' { 4 } else { 6 });
        }
        assert_eq!(text("a\u{2028}b\u{2029}c\u{202e}d"), "a\\u2028b\\u2029c\\u202ed");
    }

    #[test]
    fn letters_of_every_language_stay() {
        for word in ["naïve", "日本語", "🦄", "a\u{200d}b"] {
            assert_eq!(text(word), word);
        }
    }
}
