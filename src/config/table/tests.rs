//! Tests of rules that every row of the table must keep.

use std::collections::HashSet;

use super::*;
use crate::gunicorn::FOREIGN;
use crate::row::Arity;
use crate::row::Effect::{Live, Restart};

/// The words of a text that are in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn names_are_unique() {
    let mut names = HashSet::new();
    for row in ROWS {
        let own: HashSet<_> = row.names().collect();
        for name in own {
            assert!(names.insert(name.clone()), "{name}");
        }
    }
    for foreign in FOREIGN {
        assert!(names.insert(foreign.name.to_owned()), "{}", foreign.name);
    }
}

#[test]
fn shorts_are_unique_letters() {
    // Help, version, and gunicorn's short for version.
    let mut shorts = HashSet::from(['h', 'V', 'v']);
    for short in ROWS.iter().filter_map(|row| row.short) {
        assert!(short.is_ascii_alphabetic() && shorts.insert(short), "{short}");
    }
}

#[test]
fn the_first_paragraph_is_one_short_sentence() {
    for row in ROWS {
        let summary = row.summary();
        assert!(
            summary.ends_with('.') && !summary[..summary.len() - 1].contains(". "),
            "{summary}"
        );
        assert!(summary.len() <= 79, "{summary}");
    }
}

#[test]
fn texts_are_complete() {
    for row in ROWS {
        for text in row.paragraphs() {
            assert!(text.ends_with('.'), "{text}");
            assert_eq!(text.matches('`').count() % 2, 0, "{text}");
        }
        assert_eq!(row.arity == Arity::Switch, row.placeholder.is_empty(), "{}", row.name);
        assert!(!row.readers.is_empty(), "{}", row.name);
        assert!(row.differs.is_none() || row.gunicorn.is_some(), "{}", row.name);
    }
}

#[test]
fn references_to_other_settings_resolve() {
    for row in ROWS {
        for text in row.paragraphs().iter().map(String::as_str).chain(row.differs) {
            for flag in quoted(text).filter_map(|word| word.strip_prefix("--")) {
                assert!(Row::find(flag).is_some(), "{}: --{flag}", row.name);
            }
        }
    }
}

#[test]
fn every_default_reads_back_and_is_in_range() {
    let defaults = Settings::default();
    for row in ROWS {
        let texts = row.texts(&defaults);
        if texts.is_empty() {
            continue;
        }
        for text in &texts {
            assert_eq!(row.refuse(text), Ok(()), "{}", row.name);
        }
        let mut read = Settings::default();
        (row.set)(&mut read, &texts, row.range).unwrap();
        assert_eq!(read, defaults, "{}", row.name);
    }
}

/// Texts of which each row takes one for a value that is not its default.
const TEXTS: [&str; 29] = [
    "exec",
    "true",
    "false",
    "7",
    "critical",
    "7s",
    ":7",
    "A=7",
    "%(h)s",
    "auto",
    "optional",
    "1.3",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "none",
    "refuse",
    "forwarded",
    "0600",
    "deny=all",
    "allow",
    "7/s",
    "/7=7",
    "gzip",
    "text/7",
    "unix",
    "json",
    "udp://h:7",
    "local7",
    "0.7",
    "poll",
];

#[test]
fn a_row_sets_its_own_field_and_no_other() {
    for row in ROWS {
        let changed = TEXTS.iter().filter(|text| row.refuse(text).is_ok()).find_map(|text| {
            let mut settings = Settings::default();
            (row.set)(&mut settings, &[(*text).to_owned()], row.range).unwrap();
            (row.texts(&settings) != row.texts(&Settings::default())).then_some(settings)
        });
        let changes = changed.expect(row.name).changes(&Settings::default());
        assert_eq!(changes.iter().map(|row| row.name).collect::<Vec<_>>(), [row.name]);
    }
}

#[test]
fn a_change_knows_what_it_needs() {
    let new = Settings { workers: Workers::Auto, daemon: true, ..Settings::default() };
    let effects: Vec<_> =
        new.changes(&Settings::default()).iter().map(|row| (row.name, row.effect)).collect();
    assert_eq!(effects, [("workers", Live), ("daemon", Restart)]);
}
