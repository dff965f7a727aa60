//! Reads the configuration file: a flat YAML mapping of settings.
//!
//! serde_yaml does not report the line of a value, so the line is searched in the text. If
//! it is not found, errors name only the file.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde_yaml::{Mapping, Value};

use crate::error::{Errors, ValueOrigin};
use crate::gunicorn::Foreign;
use crate::raw::text_of;
use crate::raw_setting::{RawSetting, RawText};
use crate::row::Arity;
use crate::suggestion;
use crate::table::{ROWS, Row};

/// Reads the file at `path`, called `name` in errors.
pub(crate) fn read(path: &Path, name: &str, errors: &mut Errors) -> Vec<RawSetting> {
    let whole = ValueOrigin::File { name: name.to_owned(), line: None };
    match std::fs::read(path).map(|bytes| text_of(OsStr::from_bytes(&bytes))) {
        // serde_yaml would read the byte order mark of some editors as a document.
        Ok(text) => parse(text.strip_prefix('\u{feff}').unwrap_or(&text), name, errors),
        Err(error) => {
            errors.add(whole, "", format!("cannot read it: {}", cause(&error)));
            Vec::new()
        }
    }
}

fn cause(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    }
}

fn parse(text: &str, name: &str, errors: &mut Errors) -> Vec<RawSetting> {
    let page = SourceText { name, lines: text.lines().collect() };
    let mapping = match serde_yaml::from_str(text) {
        Ok(Value::Mapping(mapping)) => mapping,
        Ok(Value::Null) => Mapping::new(),
        Ok(_) => {
            errors.add(page.origin(None), "", "must be a mapping of settings, such as workers: 4");
            return Vec::new();
        }
        Err(error) => {
            let reason = without_location(&error);
            let line = error.location().map(|location| location.line());
            errors.add(page.origin(page.line_of_second(&reason).or(line)), "", reason);
            return Vec::new();
        }
    };
    let mut said: Vec<RawSetting> = Vec::new();
    for (key, value) in &mapping {
        if let Some(new) = entry(&page, key, value, errors) {
            match said.iter().find(|old| old.row.name == new.row.name) {
                Some(old) => {
                    let reason =
                        format!("is the same setting as {}, which is set above", old.subject);
                    errors.add(new.origin, &new.subject, reason);
                }
                None => said.push(new),
            }
        }
    }
    said
}

/// The text of serde_yaml's error without its position, which the origin already has.
fn without_location(error: &serde_yaml::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

fn entry(
    page: &SourceText<'_>,
    key: &Value,
    value: &Value,
    errors: &mut Errors,
) -> Option<RawSetting> {
    let Some(key) = scalar(key) else {
        errors.add(page.origin(None), "", "the name of a setting must be a word");
        return None;
    };
    let line = page.line_of(&key);
    let origin = page.origin(line);
    let row = match Row::find(&key) {
        Some(row) if row.in_file => row,
        Some(row) => {
            errors.add(origin, &key, format!("cannot be set in the file; use {}", row.flag()));
            return None;
        }
        None => {
            errors.add(origin, &key, unknown(&key));
            return None;
        }
    };
    match texts(row, value) {
        Ok(texts) => {
            let lines = page.lines_of_items(line, texts.len());
            let words = texts.into_iter().zip(lines);
            let words =
                words.map(|(text, line)| RawText { text, origin: page.origin(line) }).collect();
            Some(RawSetting { row, subject: key, origin, words })
        }
        Err(reason) => {
            errors.add(origin, &key, reason);
            None
        }
    }
}

fn unknown(key: &str) -> String {
    if let Some(foreign) = Foreign::find(key) {
        return foreign.refusal();
    }
    let known: Vec<_> = ROWS.iter().filter(|row| row.in_file).map(Row::key).collect();
    format!("unknown setting{}", suggestion::question(&key.replace('_', "-"), &known))
}

fn texts(row: &Row, value: &Value) -> Result<Vec<String>, &'static str> {
    match value {
        Value::Sequence(items) if row.arity == Arity::List => {
            let texts: Option<Vec<_>> = items.iter().map(scalar).collect();
            texts.ok_or("an item of the list is not a word")
        }
        Value::Mapping(pairs) if row.mapping => {
            let pair = |(name, value)| Some(format!("{}={}", scalar(name)?, scalar(value)?));
            let texts: Option<Vec<_>> = pairs.iter().map(pair).collect();
            texts.ok_or("a name or value is not a word")
        }
        Value::Sequence(_) => Err("takes one value, not a list"),
        Value::Null => Err("has no value; leave it out for the default"),
        Value::Mapping(_) | Value::Tagged(_) => Err("takes a word, not a mapping"),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Ok(scalar(value).into_iter().collect())
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        Value::String(value) => Some(value.clone()),
        _ => None,
    }
}

/// The text of the file, to find lines in.
struct SourceText<'a> {
    name: &'a str,
    lines: Vec<&'a str>,
}

impl SourceText<'_> {
    fn origin(&self, line: Option<usize>) -> ValueOrigin {
        ValueOrigin::File { name: self.name.to_owned(), line }
    }

    /// The line of a top-level key, from 1.
    fn line_of(&self, key: &str) -> Option<usize> {
        let names = [key.to_owned(), format!("\"{key}\""), format!("'{key}'")];
        let is_key = |line: &&str| {
            let name = line.split_once(':').map(|(name, _)| name.trim_end());
            name.is_some_and(|name| names.iter().any(|known| known == name))
        };
        self.lines.iter().position(is_key).map(|index| index + 1)
    }

    /// The line of a repeated key, which the text of serde_yaml's error names; the position
    /// in the error is that of the whole mapping.
    fn line_of_second(&self, reason: &str) -> Option<usize> {
        let key = reason.strip_prefix("duplicate entry with key \"")?.strip_suffix('"')?;
        let first = self.line_of(key)?;
        let below = SourceText { name: self.name, lines: self.lines[first..].to_vec() };
        below.line_of(key).map(|second| first + second)
    }

    /// The lines of the items below a key, or the key's line for each.
    fn lines_of_items(&self, key: Option<usize>, count: usize) -> Vec<Option<usize>> {
        let Some(start) = key else { return vec![None; count] };
        let below = self.lines.iter().enumerate().skip(start);
        let block = below
            .take_while(|(_, line)| line.starts_with([' ', '-', '#']) || line.trim().is_empty());
        let items = block.filter(|(_, line)| {
            let line = line.trim_start();
            !line.is_empty() && !line.starts_with('#')
        });
        let lines: Vec<_> = items.map(|(index, _)| Some(index + 1)).collect();
        // In other forms than one line for each item, the lines are not known.
        if lines.len() == count { lines } else { vec![Some(start); count] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (Vec<RawSetting>, String) {
        let mut errors = Errors::default();
        let said = parse(text, "shop.yaml", &mut errors);
        (said, errors.to_string())
    }

    fn words(said: &RawSetting) -> Vec<&str> {
        said.words.iter().map(|word| word.text.as_str()).collect()
    }

    #[test]
    fn scalars_lists_and_mappings_are_read() {
        let (said, errors) = read_text(
            "workers: 4\ndaemon: true\nname: shop\nbind: [':1', ':2']\nenv:\n  A: 1\n  B: x y\n",
        );
        assert_eq!(errors, "");
        let texts: Vec<_> = said.iter().map(words).collect();
        assert_eq!(
            texts,
            [vec!["4"], vec!["true"], vec!["shop"], vec![":1", ":2"], vec!["A=1", "B=x y"]]
        );
    }

    #[test]
    fn gunicorns_names_are_known() {
        let text = "worker_class: sync\npidfile: a\nlimit_request_field_size: 1\nwsgi_app: a:b\n";
        let (said, errors) = read_text(text);
        assert_eq!(errors, "");
        let names: Vec<_> = said.iter().map(|said| said.row.name).collect();
        assert_eq!(names, ["worker_class", "pid", "limit_request_field_size", "app"]);
    }

    #[test]
    fn an_empty_file_has_no_settings() {
        for text in ["", "# only a comment\n", "---\n", "{}"] {
            let (said, errors) = read_text(text);
            assert_eq!((said.len(), errors.as_str()), (0, ""), "{text:?}");
        }
    }

    #[test]
    fn anything_but_a_mapping_is_refused() {
        for text in ["- a\n", "workers\n", "3"] {
            let reason = "shop.yaml: must be a mapping of settings, such as workers: 4";
            assert_eq!(read_text(text).1, reason);
        }
    }

    #[test]
    fn lines_are_found() {
        let text = "# first\n\nworkers: 2\nbind:\n  # here\n  - :1\n\n  - :2\n'name': x\n";
        let (said, _) = read_text(text);
        let lines: Vec<_> = said.iter().map(|said| said.origin.to_string()).collect();
        assert_eq!(lines, ["shop.yaml line 3", "shop.yaml line 4", "shop.yaml line 9"]);
        let items: Vec<_> = said[1].words.iter().map(|word| word.origin.to_string()).collect();
        assert_eq!(items, ["shop.yaml line 6", "shop.yaml line 8"]);
        let (said, _) = read_text("{workers: 2}");
        assert_eq!(said[0].origin.to_string(), "shop.yaml");
    }

    #[test]
    fn unknown_and_misplaced_keys_are_errors() {
        let (_, errors) = read_text("wrokers: 2\nconfig: a\nreload: true\nzzz: 1\n1: 2\n");
        assert_eq!(
            errors,
            "shop.yaml line 1: wrokers: unknown setting; did you mean workers?\n\
             shop.yaml line 2: config: cannot be set in the file; use --config\n\
             shop.yaml line 3: reload: gunicorn's reload is not supported yet\n\
             shop.yaml line 4: zzz: unknown setting\n\
             shop.yaml line 5: 1: unknown setting"
        );
    }

    #[test]
    fn values_of_the_wrong_form_are_errors() {
        let (_, errors) = read_text("workers: [1]\nbind:\nname: {a: b}\nenv: [[a]]\n");
        assert_eq!(
            errors,
            "shop.yaml line 1: workers: takes one value, not a list\n\
             shop.yaml line 2: bind: has no value; leave it out for the default\n\
             shop.yaml line 3: name: takes a word, not a mapping\n\
             shop.yaml line 4: env: an item of the list is not a word"
        );
    }

    #[test]
    fn a_repeated_key_is_an_error() {
        let (_, errors) = read_text("pid: a\npidfile: b\n");
        assert_eq!(
            errors,
            "shop.yaml line 2: pidfile: is the same setting as pid, which is set above"
        );
        let (_, errors) = read_text("workers: 1\nname: x\nworkers: 2\n");
        assert_eq!(errors, "shop.yaml line 3: duplicate entry with key \"workers\"");
    }

    #[test]
    fn a_syntax_error_has_its_line() {
        let (_, errors) = read_text("workers: 1\nname: 'x\n");
        assert!(errors.starts_with("shop.yaml line "), "{errors}");
        assert!(!errors.contains(" at line "), "{errors}");
    }
}
