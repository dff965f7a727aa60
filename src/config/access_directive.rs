//! A directive of the access log's format, `%(NAME)s`, with the width and precision that it may
//! have, as in Python's `%` operator.

/// The largest width and precision.
const MOST_WIDE: u16 = 1000;

/// How the text of an atom is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtomLayout {
    /// The number of bytes to fill.
    width: u16,
    /// The number of bytes that the text may have.
    precision: Option<u16>,
    padding: AtomPadding,
}

/// What fills the width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum AtomPadding {
    /// Spaces before the text.
    #[default]
    Before,
    /// Spaces behind the text.
    Behind,
    /// Zeros before a number.
    Zeros,
}

impl AtomLayout {
    /// Lays out the text that begins at `start` and ends with `out`.
    pub fn apply(self, out: &mut Vec<u8>, start: usize) {
        if let Some(precision) = self.precision {
            out.truncate(start + usize::from(precision));
        }
        let missing = usize::from(self.width).saturating_sub(out.len() - start);
        match self.padding {
            AtomPadding::Before => drop(out.splice(start..start, vec![b' '; missing])),
            AtomPadding::Zeros => drop(out.splice(start..start, vec![b'0'; missing])),
            AtomPadding::Behind => out.resize(out.len() + missing, b' '),
        }
    }
}

/// A directive without its percent sign.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AccessDirective<'a> {
    /// The text between the parentheses.
    pub(crate) name: &'a str,
    /// The text between the parentheses and the last letter.
    pub(crate) flags: &'a str,
    pub(crate) layout: AtomLayout,
    /// The last letter: `s`, or `d`, which is for numbers.
    pub(crate) letter: char,
}

impl<'a> AccessDirective<'a> {
    /// Reads a directive at the beginning of `text`, and returns what follows it.
    pub(crate) fn read(text: &'a str) -> Result<(Self, &'a str), String> {
        let shown = || format!("%{}", text.chars().take(12).collect::<String>());
        let (name, rest) =
            text.strip_prefix('(').and_then(|rest| rest.split_once(')')).ok_or_else(|| {
                format!("{:?} is not an atom; write %(h)s, or %% for a percent", shown())
            })?;
        let is_flag = |letter: char| "-+ #.".contains(letter) || letter.is_ascii_digit();
        let end = rest.find(|letter| !is_flag(letter)).unwrap_or(rest.len());
        let (flags, rest) = rest.split_at(end);
        // Python ignores the sizes of C's types.
        let mut letters = rest.trim_start_matches(['h', 'l', 'L']).chars();
        let letter = letters.next().filter(char::is_ascii_alphabetic);
        let letter =
            letter.ok_or_else(|| format!("{:?}: an atom ends in s: %({name})s", shown()))?;
        let layout = layout(flags, letter).ok_or_else(|| {
            format!("{:?}: {flags:?} is no width of at most {MOST_WIDE}", shown())
        })?;
        Ok((Self { name, flags, layout, letter }, letters.as_str()))
    }

    /// Whether the letter is one for text or whole numbers.
    pub(crate) fn has_usual_letter(&self) -> bool {
        matches!(self.letter, 's' | 'd' | 'i' | 'u')
    }
}

/// The layout of `-15.3`.
fn layout(flags: &str, letter: char) -> Option<AtomLayout> {
    let digits = flags.trim_start_matches(['-', '+', ' ', '#', '0']);
    let marks = &flags[..flags.len() - digits.len()];
    let (width, precision) = match digits.split_once('.') {
        Some((width, precision)) => (width, Some(precision)),
        None => (digits, None),
    };
    let number = |digits: &str| match digits {
        "" => Some(0),
        digits => digits.parse::<u16>().ok().filter(|number| *number <= MOST_WIDE),
    };
    let padding = if marks.contains('-') {
        AtomPadding::Behind
    } else if marks.contains('0') && letter != 's' {
        AtomPadding::Zeros
    } else {
        AtomPadding::Before
    };
    // The precision of a number is no limit of its length.
    let precision = precision.map(number);
    if precision == Some(None) {
        return None;
    }
    let precision = precision.flatten().filter(|_| letter == 's');
    Some(AtomLayout { width: number(width)?, precision, padding })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid_out(directive: &str, text: &str) -> String {
        let (directive, rest) = AccessDirective::read(directive).unwrap();
        assert_eq!(rest, "|");
        let mut out = b"x".to_vec();
        out.extend_from_slice(text.as_bytes());
        directive.layout.apply(&mut out, 1);
        String::from_utf8(out).unwrap()
    }

    /// The texts are those of Python's `%` operator.
    #[test]
    fn widths_and_precisions_are_pythons() {
        for (directive, text, expected) in [
            ("(h)s|", "ab", "xab"),
            ("(h)5s|", "ab", "x   ab"),
            ("(h)-5s|", "ab", "xab   "),
            ("(h)05s|", "ab", "x   ab"),
            ("(h).1s|", "ab", "xa"),
            ("(h).s|", "ab", "x"),
            ("(h)-4.1s|", "ab", "xa   "),
            ("(D)05d|", "12", "x00012"),
            ("(D)-05d|", "12", "x12   "),
            ("(D)1ld|", "12", "x12"),
            ("(h)1s|", "ab", "xab"),
        ] {
            assert_eq!(laid_out(directive, text), expected, "{directive}");
        }
    }

    #[test]
    fn what_is_no_directive_is_refused() {
        for text in
            ["", "h", "(h", "(h)", "(h)-", "(h)5", "(h)5001s", "(h)5-s", "(h)1.2.3s", "(h)é"]
        {
            assert!(AccessDirective::read(text).is_err(), "{text}");
        }
        let (directive, rest) = AccessDirective::read("({x}i)-3r rest").unwrap();
        assert_eq!((directive.name, directive.flags, rest), ("{x}i", "-3", " rest"));
        assert!(!directive.has_usual_letter());
    }
}
