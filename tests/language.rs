//! The rules of docs/lexicon.md for the source text: no word that the lexicon replaces, and
//! one type for each name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The directories of a crate's files, as far as words are still to be replaced in
/// them, and how many at most. It shrinks: no new line is added.
const REMAINING_WORDS: [(&str, usize); 0] = [];

/// Words that are names of gunicorn, which applications import, and where they stand.
const NAMES_OF_GUNICORN: [(&str, &str); 1] = [("workers/python/src/", " arbiter ")];

/// Names that several types still have. It shrinks as well.
const REMAINING_TYPES: [&str; 0] = [];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a directory with one of these endings, by their paths from the
/// root of the repository.
fn files(directory: &str, endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut ahead = vec![root().join(directory)];
    while let Some(next) = ahead.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                ahead.push(path);
            } else if path.extension().is_some_and(|it| endings.iter().any(|ending| it == *ending))
            {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// The words of a text, in lower case with a space on both sides: those of names in
/// snake case and camel case too, over the ends of lines and marks of comments.
fn words(text: &str) -> String {
    let mut words = String::from(" ");
    let mut was_lower = false;
    for letter in text.chars() {
        let is_word = letter.is_alphabetic();
        let begins = is_word && letter.is_uppercase() && was_lower;
        if (begins || !is_word) && !words.ends_with(' ') {
            words.push(' ');
        }
        if is_word {
            words.extend(letter.to_lowercase());
        }
        was_lower = letter.is_lowercase();
    }
    if !words.ends_with(' ') {
        words.push(' ');
    }
    words
}

/// The first column of the table below this heading of the lexicon.
fn replaced_words(heading: &str) -> Vec<String> {
    let lexicon = fs::read_to_string(root().join("docs/lexicon.md")).unwrap();
    let (_, section) = lexicon.split_once(&format!("## {heading}\n")).unwrap();
    let table = section.split("\n## ").next().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let cells = rows.skip(1).flat_map(|cell| cell.split(", "));
    let words: Vec<_> = cells.map(|word| format!(" {word} ")).collect();
    assert!(words.len() > 6, "{words:?}");
    words
}

#[test]
fn words_that_the_lexicon_replaces_are_not_used() {
    let replaced = replaced_words("Words that are not used");
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (path, text) in ["src", "workers"].iter().flat_map(|it| files(it, &["rs", "py"])) {
        let text = words(&text);
        let is_foreign = |word: &str| {
            NAMES_OF_GUNICORN.iter().any(|(place, name)| path.starts_with(place) && word == *name)
        };
        for word in replaced.iter().filter(|word| !is_foreign(word)) {
            let count = text.matches(word.as_str()).count();
            let part = REMAINING_WORDS.iter().find(|(part, _)| path.starts_with(part));
            let part = part.map_or("", |(part, _)| part);
            found.entry(part).or_default().extend((0..count).map(|_| format!("{path}:{word}")));
        }
    }
    for (part, places) in found {
        let most = REMAINING_WORDS.iter().find(|it| it.0 == part).map_or(0, |it| it.1);
        assert!(
            places.len() <= most,
            "{} places use words that docs/lexicon.md replaces, {most} may: {places:#?}",
            places.len()
        );
    }
}

/// The comments of a file, and the names of its tests.
fn comments(text: &str) -> String {
    let mut comments = String::new();
    let mut is_test = false;
    for line in text.lines() {
        let is_code = |before: &str| before.matches('"').count().is_multiple_of(2);
        let comment = line.match_indices("//").find(|(at, _)| is_code(&line[..*at]));
        let name = line.trim_start().strip_prefix("fn ").filter(|_| is_test);
        let part = comment.map(|(at, _)| &line[at..]).or(name).unwrap_or_default();
        // Between backquotes stand names of the code, and words that are quoted.
        part.split('`').step_by(2).for_each(|part| comments.push_str(part));
        comments.push('\n');
        is_test = line.trim() == "#[test]";
    }
    comments
}

#[test]
fn words_that_comments_do_not_use_are_in_no_comment_and_no_name_of_a_test() {
    let replaced = replaced_words("Words that comments do not use");
    let mut found = Vec::new();
    for (path, text) in ["src", "workers", "tests"].iter().flat_map(|it| files(it, &["rs"])) {
        for line in comments(&text).lines() {
            let line = words(line);
            let used = replaced.iter().filter(|word| line.contains(word.as_str()));
            found.extend(used.map(|word| format!("{path}:{word}in{line}")));
        }
    }
    assert!(found.is_empty(), "docs/lexicon.md replaces these words in comments: {found:#?}");
}

/// The name of the type that a line begins to define.
fn defined(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    if let Some(public) = rest.strip_prefix("pub") {
        let public =
            public.strip_prefix('(').map_or(Some(public), |it| it.split_once(')').map(|it| it.1));
        rest = public?.trim_start();
    }
    let (kind, rest) = rest.split_once(' ')?;
    let is_kind = ["struct", "enum", "trait", "union"].contains(&kind)
        || kind == "type" && !line.starts_with(' ');
    let end = rest.find(|it: char| !it.is_alphanumeric() && it != '_').unwrap_or(rest.len());
    (is_kind && rest.starts_with(char::is_uppercase)).then(|| &rest[..end])
}

#[test]
fn each_type_has_a_name_of_its_own() {
    let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut twice = BTreeSet::new();
    for (path, text) in ["src", "workers"].iter().flat_map(|it| files(it, &["rs"])) {
        for name in text.lines().filter_map(defined) {
            let known = places.entry(name.to_owned()).or_default();
            if !known.is_empty() || !known.insert(path.clone()) {
                known.insert(path.clone());
                twice.insert(name.to_owned());
            }
        }
    }
    assert!(places.len() > 200, "{}", places.len());
    twice.retain(|name| !REMAINING_TYPES.contains(&name.as_str()));
    let twice: Vec<_> = twice.iter().map(|name| (name, &places[name])).collect();
    assert!(twice.is_empty(), "these names are those of several types: {twice:#?}");
}

#[test]
fn the_words_of_names_and_comments_are_found() {
    assert_eq!(words("/// For\n/// ever: WhoEver_is2"), " for ever who ever is ");
    assert_eq!(defined("pub(crate) struct Shared<'a> {"), Some("Shared"));
    assert_eq!(defined("    type Err = String;"), None);
    let text = ["let url = \"http://a\"; // B `c` d.", "#[test]", "fn e() {", "fn f() {"];
    assert_eq!(comments(&text.join("\n")), "// B  d.\n\ne() {\n\n");
}
