//! Replaces control characters in text from outside, for logs and terminals: they could
//! end a line, or control a terminal.

/// The maximum number of characters in one line.
const LONGEST_LINE: usize = 500;

/// One line, cut to the maximum length, with each control character replaced.
#[must_use]
pub fn line(text: &str) -> String {
    text.chars().take(LONGEST_LINE).map(|letter| replace(letter, letter.is_control())).collect()
}

/// Several lines, with each control character but line ends and tabs replaced.
#[must_use]
pub fn text(text: &str) -> String {
    let is_bad = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    text.chars().map(|letter| replace(letter, is_bad(letter))).collect()
}

fn replace(letter: char, is_bad: bool) -> char {
    if is_bad { char::REPLACEMENT_CHARACTER } else { letter }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_reaches_the_terminal() {
        assert_eq!(
            text("a\u{1b}[31m\n\tb\r\u{9b}\0"),
            "a\u{fffd}[31m\n\tb\u{fffd}\u{fffd}\u{fffd}"
        );
        assert_eq!(line("a\n[ERROR]\tb"), "a\u{fffd}[ERROR]\u{fffd}b");
        assert_eq!(line(&"é".repeat(1000)).chars().count(), LONGEST_LINE);
    }
}
