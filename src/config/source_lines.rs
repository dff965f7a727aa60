//! Finds lines in the text of the configuration file. serde_yaml does not report the line of a
//! value, so the line is searched; where it is not found, errors name the line around it.

/// The text of the file.
pub(crate) struct SourceText<'a> {
    lines: Vec<&'a str>,
}

impl<'a> SourceText<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { lines: text.lines().collect() }
    }

    /// The line of a top-level key, from 1.
    pub(crate) fn line_of(&self, key: &str) -> Option<usize> {
        self.line_behind(0, key)
    }

    /// The line of a repeated key, which the text of serde_yaml's error names; the position
    /// in the error is that of the whole mapping.
    pub(crate) fn line_of_second(&self, reason: &str) -> Option<usize> {
        let key = reason.strip_prefix("duplicate entry with key \"")?.strip_suffix('"')?;
        let first = self.line_of(key)?;
        self.line_behind(first, key)
    }

    fn line_behind(&self, start: usize, key: &str) -> Option<usize> {
        let names = [key.to_owned(), format!("\"{key}\""), format!("'{key}'")];
        let is_key = |line: &&str| {
            let name = line.split_once(':').map(|(name, _)| name.trim_end());
            name.is_some_and(|name| names.iter().any(|known| known == name))
        };
        self.lines[start..].iter().position(is_key).map(|index| start + index + 1)
    }

    /// The lines of a top-level key with its value.
    pub(crate) fn value_of(&self, line: Option<usize>) -> ItemLines<'_> {
        let Some(line) = line else { return ItemLines::default() };
        let end = end_of_value(&self.lines, line, 0);
        ItemLines { start: Some(line), lines: &self.lines[line - 1..end] }
    }
}

/// The lines of a key with its value, or of one item of a list or mapping.
#[derive(Clone, Copy, Default)]
pub(crate) struct ItemLines<'a> {
    /// The number of its first line, from 1; that of the key if it is not known.
    start: Option<usize>,
    /// All its lines; none if they are not known.
    lines: &'a [&'a str],
}

impl<'a> ItemLines<'a> {
    pub(crate) fn first(&self) -> Option<usize> {
        self.start
    }

    /// The line of a key in it, else its first line.
    pub(crate) fn line_of(&self, name: &str) -> Option<usize> {
        self.value_of(name).start
    }

    /// The lines of a key in it with its value.
    pub(crate) fn value_of(&self, name: &str) -> Self {
        let is_part = |letter: char| letter.is_alphanumeric() || "-_/".contains(letter);
        let is_key = |line: &str, column: usize| {
            let after = line[column + name.len()..].trim_start_matches(['"', '\'', ' ']);
            !line[..column].ends_with(is_part) && after.starts_with(':')
        };
        let column_in = |line: &&str| {
            let mut columns = line.match_indices(name).map(|(column, _)| column);
            columns.find(|column| !line.trim_start().starts_with('#') && is_key(line, *column))
        };
        let mut lines = self.lines.iter().enumerate();
        let found = lines.find_map(|(index, line)| Some((index, column_in(line)?)));
        match (self.start, found) {
            (Some(start), Some((index, column))) => {
                let end = end_of_value(self.lines, index + 1, column);
                Self { start: Some(start + index), lines: &self.lines[index..end] }
            }
            (start, _) => Self { start, lines: &[] },
        }
    }

    /// The lines of the items below a key; only the line of the key where each item's lines are
    /// not known, as in a list on one line.
    pub(crate) fn items(&self, count: usize) -> Vec<Self> {
        let unknown = Self { start: self.start, lines: &[] };
        self.known_items(count).unwrap_or_else(|| vec![unknown; count])
    }

    fn known_items(&self, count: usize) -> Option<Vec<Self>> {
        let start = self.start?;
        let lines = self.lines;
        let indentations =
            || (1..lines.len()).filter_map(move |at| Some((at, indentation(lines[at])?)));
        let (_, outermost) = indentations().next()?;
        let starts: Vec<_> =
            indentations().filter(|(_, it)| *it == outermost).map(|(at, _)| at).collect();
        let ends = starts.iter().skip(1).copied().chain([lines.len()]);
        let item =
            |(at, end): (&usize, usize)| Self { start: Some(start + at), lines: &lines[*at..end] };
        (starts.len() == count).then(|| starts.iter().zip(ends).map(item).collect())
    }
}

/// The column of the first letter of a line; `None` for empty lines and comments.
fn indentation(line: &str) -> Option<usize> {
    let text = line.trim_start();
    (!text.is_empty() && !text.starts_with('#')).then(|| line.len() - text.len())
}

/// The index of the line behind the value of a key at this column; the value begins at the
/// line `start`.
fn end_of_value(lines: &[&str], start: usize, column: usize) -> usize {
    let is_below = |line: &&&str| {
        // The items of a list may begin at the column of their key.
        let is_item = line.trim_start().starts_with('-');
        indentation(line).is_none_or(|at| at > column || at == column && is_item)
    };
    start + lines[start..].iter().take_while(is_below).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_items_are_found_at_any_depth() {
        let text = "# bind:\nworkers: 2\nbind:\n- ':1'\n- address: ':2'\n  # access:\n  access:\n  - allow: all\n    path: /a\n\n  - deny: all\n  scheme: http\nname: x\n";
        let page = SourceText::new(text);
        let bind = page.value_of(page.line_of("bind"));
        assert_eq!((bind.first(), bind.lines.len()), (Some(3), 10));
        let items = bind.items(2);
        assert_eq!(items.iter().map(ItemLines::first).collect::<Vec<_>>(), [Some(4), Some(5)]);
        let access = items[1].value_of("access");
        assert_eq!((access.first(), items[1].line_of("scheme")), (Some(7), Some(12)));
        let rules = access.items(2);
        assert_eq!(rules.iter().map(ItemLines::first).collect::<Vec<_>>(), [Some(8), Some(11)]);
        assert_eq!((rules[0].line_of("path"), rules[1].line_of("deny")), (Some(9), Some(11)));
        assert_eq!(rules[1].line_of("method"), Some(11), "an absent key has the first line");
    }

    #[test]
    fn where_items_are_not_known_their_key_is() {
        let page = SourceText::new("bind: [{address: ':1'}, ':2']\nname: x\n");
        let items = page.value_of(page.line_of("bind")).items(2);
        assert_eq!(items.iter().map(ItemLines::first).collect::<Vec<_>>(), [Some(1), Some(1)]);
        assert_eq!(page.value_of(None).items(1)[0].first(), None);
    }

    #[test]
    fn a_repeated_key_is_found() {
        let page = SourceText::new("a: 1\nb: 2\n\"a\": 3\n");
        assert_eq!(page.line_of_second("duplicate entry with key \"a\""), Some(3));
        assert_eq!(page.line_of_second("another reason"), None);
    }
}
