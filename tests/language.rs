//! The source text keeps the rules of docs/lexicon.md: no word that the lexicon
//! replaces, and one type for each name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The directories of a crate's files, as far as words are still to be replaced in
/// them, and how many at most. It shrinks: no new line is added.
const REMAINING_WORDS: [(&str, usize); 0] = [];

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
fn replaced_words() -> Vec<String> {
    let lexicon = fs::read_to_string(root().join("docs/lexicon.md")).unwrap();
    let (_, table) = lexicon.split_once("## Words that are not used").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let cells = rows.skip(1).flat_map(|cell| cell.split(", "));
    let words: Vec<_> = cells.map(|word| format!(" {word} ")).collect();
    assert!(words.len() > 10, "{words:?}");
    words
}

#[test]
fn words_that_the_lexicon_replaces_are_not_used() {
    let replaced = replaced_words();
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (path, text) in ["src", "workers"].iter().flat_map(|it| files(it, &["rs", "py"])) {
        let text = words(&text);
        for word in &replaced {
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
}
