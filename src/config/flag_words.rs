//! The words of a command line in the form in which clap reads them as argparse would: a flag
//! has its value beside it, and its whole name.

use std::collections::BTreeSet;
use std::ffi::OsString;

use crate::gunicorn::FOREIGN;
use crate::row::Arity;
use crate::table::{ROWS, Row};

/// A flag of a setting.
struct KnownFlag {
    arity: Arity,
    row: Option<&'static Row>,
}

/// Arranges the words before two dashes. With `abbreviations` gunicorn's flags need not be written
/// in full.
pub(crate) fn arrange(words: &[String], abbreviations: bool) -> Vec<OsString> {
    let mut arranged: Vec<OsString> = Vec::new();
    let mut rest = words.iter().peekable();
    while let Some(word) = rest.next() {
        if word == "--" {
            arranged.push(word.into());
            arranged.extend(rest.by_ref().map(OsString::from));
            break;
        }
        let word = if abbreviations { in_full(word) } else { word.clone() };
        let value = find(&word).and_then(|flag| rest.next_if(|next| is_value(&flag, next)));
        match value {
            Some(value) => arranged.push(format!("{word}={value}").into()),
            None => arranged.push(word.into()),
        }
    }
    arranged
}

/// Whether a word behind a flag is its value though clap would not read it so: one that may be
/// left out (`--proxy-protocol v2`), so that any other word stays the application; and a text
/// that begins with a dash, which with a space in it is no flag to argparse.
fn is_value(flag: &KnownFlag, word: &str) -> bool {
    match flag.arity {
        Arity::Switch => false,
        Arity::Optional => flag.row.is_some_and(|row| row.refuse(word).is_ok()),
        Arity::One | Arity::List => word.starts_with('-') && word.contains(' '),
    }
}

/// The setting of a word that is a flag without a value.
fn find(word: &str) -> Option<KnownFlag> {
    let short = |row: &Row| row.short.is_some_and(|short| word == format!("-{short}"));
    let is_its = |row: &&Row| !row.positional && (short(row) || has_long(row, word));
    if let Some(row) = ROWS.iter().find(is_its) {
        return Some(KnownFlag { arity: row.arity, row: Some(row) });
    }
    let foreign = FOREIGN.iter().find(|foreign| foreign.flags.contains(&word))?;
    Some(KnownFlag { arity: foreign.arity, row: None })
}

fn has_long(row: &Row, word: &str) -> bool {
    row.long_flags().iter().any(|flag| flag == word)
}

/// The word with the whole name of its flag, if it is an abbreviation.
fn in_full(word: &str) -> String {
    let (name, value) = word.split_once('=').map_or((word, None), |(name, it)| (name, Some(it)));
    match (full_flag(name), value) {
        (Some(full), Some(value)) => format!("{full}={value}"),
        (Some(full), None) => full,
        (None, _) => word.to_owned(),
    }
}

/// The flag that `name` abbreviates, if gunicorn has exactly one setting with such a flag.
pub(crate) fn full_flag(name: &str) -> Option<String> {
    let rest = name.strip_prefix("--").filter(|rest| !rest.is_empty())?;
    if find(name).is_some() || ["help", "version"].contains(&rest) {
        return None;
    }
    let gunicorns = ROWS.iter().filter(|row| row.gunicorn.is_some() && !row.positional);
    let own = gunicorns.filter(|row| row.long_flags().iter().any(|flag| flag.starts_with(name)));
    let foreign = FOREIGN.iter().filter(|it| it.flags.iter().any(|flag| flag.starts_with(name)));
    let others = ["--help", "--version"].into_iter().filter(|flag| flag.starts_with(name));
    let full: BTreeSet<String> = own
        .map(Row::flag)
        .chain(foreign.map(|it| it.flag().to_owned()))
        .chain(others.map(str::to_owned))
        .collect();
    full.first().filter(|_| full.len() == 1).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged(words: &[&str], abbreviations: bool) -> Vec<String> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        let arranged = arrange(&words, abbreviations).into_iter();
        arranged.map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn a_text_with_a_space_is_a_value() {
        assert_eq!(
            arranged(&["--access-logformat", "- %(h)s", "-n", "-a b", "-w", "-4"], false),
            ["--access-logformat=- %(h)s", "-n=-a b", "-w", "-4"]
        );
        assert_eq!(arranged(&["--daemon", "-a b"], false), ["--daemon", "-a b"]);
        assert_eq!(arranged(&["--", "--name", "-a b"], false), ["--", "--name", "-a b"]);
    }

    #[test]
    fn an_abbreviation_stands_for_one_setting() {
        for (name, full) in [
            ("--keep", Some("--keep-alive")),
            ("--log-f", Some("--error-logfile")),
            ("--time", Some("--timeout")),
            ("--head", Some("--header-map")),
            ("--worker-t", Some("--worker-tmp-dir")),
            ("--vers", Some("--version")),
            ("--work", None),
            ("--limit-request-f", None),
            ("--timeout", None),
            ("--max-rss", None),
            ("--help", None),
            ("--x", None),
            ("--", None),
            ("-w", None),
        ] {
            assert_eq!(full_flag(name).as_deref(), full, "{name}");
        }
        assert_eq!(
            arranged(&["--keep=5", "--max-requests", "1", "--proxy-pro", "v1"], true),
            ["--keep-alive=5", "--max-requests", "1", "--proxy-protocol=v1"]
        );
        assert_eq!(arranged(&["--keep=5"], false), ["--keep=5"]);
    }
}
