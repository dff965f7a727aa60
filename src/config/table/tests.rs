//! The rules that every row of the table obeys.

use std::collections::HashSet;

use super::*;
use crate::gunicorn::FOREIGN;
use crate::row::Takes;

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
        assert_eq!(row.takes == Takes::Switch, row.placeholder.is_empty(), "{}", row.name);
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

/// A value for each row that is not its default.
const OTHERS: &[(&str, &[&str])] = &[
    ("app", &["shop:app"]),
    ("chdir", &["/srv"]),
    ("pythonpath", &["/a,/b"]),
    ("python", &["/usr/bin/python3"]),
    ("env", &["A=1", "B=2"]),
    ("bind", &["[::1]:1", "unix:@a"]),
    ("backlog", &["1"]),
    ("workers", &["auto"]),
    ("threads", &["2"]),
    ("worker_connections", &["7"]),
    ("timeout", &["1500ms"]),
    ("graceful_timeout", &["0s"]),
    ("keep_alive", &["2s"]),
    ("header_timeout", &["1s"]),
    ("body_timeout", &["1s"]),
    ("write_timeout", &["1s"]),
    ("limit_request_line", &["0"]),
    ("limit_request_fields", &["32768"]),
    ("limit_request_field_size", &["1"]),
    ("name", &["shop"]),
    ("daemon", &["true"]),
    ("pid", &["a.pid"]),
    ("user", &["www-data"]),
    ("group", &["33"]),
    ("initgroups", &["true"]),
    ("umask", &["0o022"]),
    ("log_level", &["critical"]),
    ("error_logfile", &["a.log"]),
    ("access_logfile", &["-"]),
    ("access_logformat", &["%(h)s"]),
    ("capture_output", &["true"]),
    ("config", &["a.yaml"]),
    ("check_config", &["true"]),
    ("print_config", &["true"]),
];

#[test]
fn a_row_sets_its_own_field_and_no_other() {
    for row in ROWS.iter().filter(|row| row.name != "worker_class") {
        let (_, texts) = OTHERS.iter().find(|(name, _)| *name == row.name).expect(row.name);
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        let mut settings = Settings::default();
        (row.set)(&mut settings, &texts, row.range).unwrap();
        assert_eq!(row.texts(&settings), texts);
        let changes = settings.changes(&Settings::default());
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
