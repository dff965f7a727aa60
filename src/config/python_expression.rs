//! Finds in the text of a file in Python which values are literals, and which are computed.

/// Names in literals.
const CONSTANTS: [&str; 3] = ["True", "False", "None"];

/// The code that gives a name its value, if that is no literal at the top level. The value may be
/// another one on another machine, or on another day.
pub(crate) fn computed(text: &str, name: &str) -> Option<String> {
    let lines: Vec<_> = text.lines().collect();
    let assigns = |line: &str| value_of(line.trim_start(), name).is_some();
    let Some(last) = lines.iter().rposition(|line| assigns(line)) else {
        return Some(format!("{name} is set by other code"));
    };
    let line = lines[last];
    let is_alone = lines.iter().filter(|line| assigns(line)).count() == 1;
    let is_top = !line.starts_with(char::is_whitespace);
    if is_alone && is_top && is_literal(value_of(line, name)?, &lines[last + 1..]) {
        return None;
    }
    Some(line.trim().to_owned())
}

/// The last line, from 1, that gives something this name: an assignment, a function, a class or
/// an import.
pub(crate) fn line_of(text: &str, name: &str) -> Option<usize> {
    let is_word = |rest: &str| !rest.starts_with(|it: char| it.is_alphanumeric() || it == '_');
    let defines = |line: &str| {
        let words = ["def ", "async def ", "class "];
        let named = words.iter().find_map(|word| line.strip_prefix(word)?.strip_prefix(name));
        named.is_some_and(is_word)
    };
    let imports = |line: &str| {
        let names = line.strip_prefix("from ").and_then(|it| it.split_once(" import "));
        names.is_some_and(|(_, names)| names.split([',', ' ', '(', ')']).any(|it| it == name))
    };
    let binds = |line: &str| value_of(line, name).is_some() || defines(line) || imports(line);
    let lines: Vec<_> = text.lines().map(str::trim_start).collect();
    lines.iter().rposition(|line| binds(line)).map(|index| index + 1)
}

/// The text behind the equals sign, if a line assigns to this name.
fn value_of<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(name)?;
    if rest.starts_with(|it: char| it.is_alphanumeric() || it == '_') {
        return None;
    }
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix(':') {
        Some(annotated) => annotated.split_once('=').map(|(_, value)| value),
        None => rest.strip_prefix('='),
    };
    rest.filter(|value| !value.starts_with('='))
}

/// Whether an expression, which may go on in these lines, has no name but constants.
fn is_literal(first: &str, more: &[&str]) -> bool {
    let mut depth = 0_usize;
    for line in [first].into_iter().chain(more.iter().copied()) {
        match names(line, &mut depth) {
            Some(names) if names.iter().all(|name| CONSTANTS.contains(name)) => {}
            Some(_) | None => return false,
        }
        if depth == 0 && !line.trim_end().ends_with('\\') {
            return true;
        }
    }
    true
}

/// The names in a line outside of its strings; `None` for a string that is formatted or has
/// several lines. `depth` is the number of open brackets.
fn names<'a>(line: &'a str, depth: &mut usize) -> Option<Vec<&'a str>> {
    let mut names = Vec::new();
    let mut rest = line;
    while let Some(letter) = rest.chars().next() {
        if letter == '#' {
            break;
        }
        if letter == '"' || letter == '\'' {
            rest = after_string(rest, letter)?;
            continue;
        }
        let is_part = |it: char| it.is_alphanumeric() || it == '_';
        let length = rest.find(|it| !is_part(it)).unwrap_or(rest.len());
        if length == 0 {
            match letter {
                '(' | '[' | '{' => *depth += 1,
                ')' | ']' | '}' => *depth = depth.saturating_sub(1),
                _ => {}
            }
            rest = &rest[letter.len_utf8()..];
            continue;
        }
        let (word, after) = rest.split_at(length);
        let is_prefix = after.starts_with(['"', '\'']);
        if is_prefix && word.contains(['f', 'F']) {
            return None;
        }
        if !is_prefix && !letter.is_ascii_digit() {
            names.push(word);
        }
        rest = after;
    }
    Some(names)
}

/// What follows a string of one line.
fn after_string(text: &str, quote: char) -> Option<&str> {
    let inner = &text[1..];
    let mut is_escaped = false;
    for (at, letter) in inner.char_indices() {
        if letter == quote && !is_escaped {
            let after = &inner[at + 1..];
            // Three quotes begin a string of several lines.
            return (at > 0 || !after.starts_with(quote)).then_some(after);
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_name_is_found() {
        let text = "import os\nfrom hooks import on_exit, post_fork as pf\nbind = ':80'\n\n\
                    def pre_fork(server, worker):\n    bind = 1\n\nif x:\n    post_fork = pf\n";
        for (name, line) in [
            ("on_exit", Some(2)),
            ("bind", Some(6)),
            ("pre_fork", Some(5)),
            ("post_fork", Some(9)),
            ("fork", None),
        ] {
            assert_eq!(line_of(text, name), line, "{name}");
        }
    }

    #[test]
    fn literals_are_not_computed() {
        for text in [
            "workers = 3",
            "workers=3  # as many as cores()",
            "workers: int = 3",
            "workers = None",
            "workers = 'a' \"b\" r'c\\d'",
            "workers = ['a#b', True, (1, 0x1f)]",
            "workers = [\n    'a',\n    'it\\'s',\n]\nother = f()",
            "workers = {'a': 1_000}",
            "workers = ''",
        ] {
            assert_eq!(computed(text, "workers"), None, "{text}");
        }
    }

    #[test]
    fn code_is_computed() {
        for (text, code) in [
            ("workers = cpus() * 2", "workers = cpus() * 2"),
            ("workers = f'{a}'", "workers = f'{a}'"),
            ("if a:\n    workers = 3", "workers = 3"),
            ("workers = 1\nif a:\n    workers = 3", "workers = 3"),
            ("workers = [\n  1,\n  a,\n]", "workers = ["),
            ("from shop import *", "workers is set by other code"),
            ("workers_of = 3", "workers is set by other code"),
        ] {
            assert_eq!(computed(text, "workers").as_deref(), Some(code), "{text}");
        }
    }
}
