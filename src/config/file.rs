//! Reads the configuration file: a flat YAML mapping of settings.
//!
//! serde_yaml does not report the line of a value, so the line is searched in the text. If
//! it is not found, errors name only the file.

use std::ffi::OsStr;
use std::io;
use std::iter::repeat;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde_yaml::{Mapping, Value};

use crate::error::{Errors, ValueOrigin};
use crate::gunicorn::Foreign;
use crate::item::ItemPair;
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
    let items = page.items(line, item_count(row, value));
    match texts(row, value, &items) {
        Ok(texts) => {
            // A mapping that is one item has the line of its key.
            let lines = items.iter().map(|item| item.first().or(line)).chain(repeat(line));
            let words = texts.into_iter().zip(lines);
            let words =
                words.map(|(text, line)| RawText { text, origin: page.origin(line) }).collect();
            Some(RawSetting { row, subject: key, origin, words })
        }
        Err(refusal) => {
            errors.add(page.origin(refusal.line.or(line)), &key, refusal.reason);
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

/// The reason why a value is refused, and its line if that is not the line of the key.
struct Refusal {
    line: Option<usize>,
    reason: String,
}

impl From<&str> for Refusal {
    fn from(reason: &str) -> Self {
        Self { line: None, reason: reason.to_owned() }
    }
}

fn item_count(row: &Row, value: &Value) -> usize {
    match value {
        Value::Sequence(items) => items.len(),
        Value::Mapping(pairs) if row.item.is_none() => pairs.len(),
        _ => 1,
    }
}

fn texts(row: &Row, value: &Value, lines: &[ItemLines<'_>]) -> Result<Vec<String>, Refusal> {
    match value {
        Value::Sequence(items) if row.arity == Arity::List => {
            let texts = items.iter().zip(lines).map(|(item, lines)| item_text(row, item, lines));
            texts.collect()
        }
        Value::Mapping(pairs) if row.mapping => {
            let pair = |(name, value)| Some(format!("{}={}", scalar(name)?, scalar(value)?));
            let texts: Option<Vec<_>> = pairs.iter().map(pair).collect();
            texts.ok_or_else(|| "a name or value is not a word".into())
        }
        Value::Mapping(_) if row.item.is_some() => {
            let lines = lines.first().copied().unwrap_or_default();
            item_text(row, value, &lines).map(|text| vec![text])
        }
        Value::Sequence(_) => Err("takes one value, not a list".into()),
        Value::Null => Err("has no value; leave it out for the default".into()),
        Value::Mapping(_) | Value::Tagged(_) => Err("takes a word, not a mapping".into()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Ok(scalar(value).into_iter().collect())
        }
    }
}

/// The text of an item of a list.
fn item_text(row: &Row, item: &Value, lines: &ItemLines<'_>) -> Result<String, Refusal> {
    let refuse = |line, reason: &str| Refusal { line, reason: reason.to_owned() };
    let (pairs, form) = match (item, row.item) {
        (Value::Mapping(pairs), Some(form)) => (pairs, form),
        _ => {
            let text = scalar(item);
            return text.ok_or_else(|| refuse(lines.first(), "an item of the list is not a word"));
        }
    };
    let mut texts: Vec<ItemPair<'_>> = Vec::new();
    for (name, value) in pairs {
        let Some(name) = scalar(name) else {
            return Err(refuse(lines.first(), "the name of an option is not a word"));
        };
        let line = lines.line_of(&name);
        let Some(key) = form.keys.iter().find(|key| name.replace('_', "-") == **key) else {
            let known: Vec<_> = form.keys.iter().map(|key| (*key).to_owned()).collect();
            let question = suggestion::question(&name.replace('_', "-"), &known);
            let known = known.join(", ");
            let reason = format!("{name}: unknown option; known are {known}{question}");
            return Err(refuse(line, &reason));
        };
        let Some(text) = scalar(value) else {
            return Err(refuse(line, &format!("{name}: takes a word")));
        };
        if texts.iter().any(|(known, _)| known == key) {
            return Err(refuse(line, &format!("{name}: is set above already")));
        }
        texts.push((key, text));
    }
    (form.text)(&texts).map_err(|reason| refuse(lines.first(), &reason))
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

    /// The lines of the items below a key; without any where each item's lines are not known,
    /// as in a list on one line.
    fn items(&self, key: Option<usize>, count: usize) -> Vec<ItemLines<'_>> {
        let unknown = vec![ItemLines { start: key, lines: &[] }; count];
        let Some(start) = key else { return unknown };
        let is_below = |line: &&&str| line.starts_with([' ', '-', '#']) || line.trim().is_empty();
        let end = start + self.lines[start..].iter().take_while(is_below).count();
        let indentation = |index: &usize| {
            let line = self.lines[*index];
            let text = line.trim_start();
            (!text.is_empty() && !text.starts_with('#')).then(|| line.len() - text.len())
        };
        let Some(outermost) = (start..end).find_map(|index| indentation(&index)) else {
            return unknown;
        };
        let starts: Vec<_> =
            (start..end).filter(|index| indentation(index) == Some(outermost)).collect();
        if starts.len() != count {
            return unknown;
        }
        let ends = starts.iter().skip(1).copied().chain([end]);
        starts
            .iter()
            .zip(ends)
            .map(|(&start, end)| ItemLines {
                start: Some(start + 1),
                lines: &self.lines[start..end],
            })
            .collect()
    }
}

/// The lines of one item of a list or mapping.
#[derive(Clone, Copy, Default)]
struct ItemLines<'a> {
    /// The number of its first line, from 1; that of the key if it is not known.
    start: Option<usize>,
    /// All its lines; none if they are not known.
    lines: &'a [&'a str],
}

impl ItemLines<'_> {
    fn first(&self) -> Option<usize> {
        self.start
    }

    /// The line of an option of the item, else its first line.
    fn line_of(&self, name: &str) -> Option<usize> {
        let is_key = |line: &str, start: usize| {
            let is_part = |letter: char| letter.is_alphanumeric() || "-_".contains(letter);
            let after = line[start + name.len()..].trim_start_matches(['"', '\'', ' ']);
            !line[..start].ends_with(is_part) && after.starts_with(':')
        };
        let is_option = |line: &&str| {
            !line.trim_start().starts_with('#')
                && line.match_indices(name).any(|(start, _)| is_key(line, start))
        };
        let index = self.lines.iter().position(is_option);
        Some(self.start? + index.unwrap_or(0))
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
    fn an_item_can_be_a_mapping() {
        let (said, errors) = read_text(
            "bind:\n  - ':80'\n  - address: https://:443\n    proxy_protocol: v2\n\
             certificates: [/etc/live, {certfile: 'a,b', keyfile: c}]\n",
        );
        assert_eq!(errors, "");
        assert_eq!(words(&said[0]), [":80", "https://:443?proxy-protocol=v2"]);
        assert_eq!(words(&said[1]), ["/etc/live", "certfile=a%2Cb,keyfile=c"]);
        let items: Vec<_> = said[0].words.iter().map(|word| word.origin.to_string()).collect();
        assert_eq!(items, ["shop.yaml line 2", "shop.yaml line 3"]);
        let (said, _) = read_text("bind: {address: ':80', scheme: http}\n");
        assert_eq!(words(&said[0]), [":80?scheme=http"]);
    }

    #[test]
    fn an_error_in_an_item_has_its_line() {
        for (text, error) in [
            (
                "bind:\n- ':1'\n- address: ':2'\n  proxy-protocol: v2\n  access: [a]\n",
                "5: bind: access: unknown option; known are address, scheme, proxy-protocol",
            ),
            (
                "bind:\n  - {address: ':1', proxy-protokol: v2}\n",
                "2: bind: proxy-protokol: unknown option; known are address, scheme, \
                 proxy-protocol; did you mean proxy-protocol?",
            ),
            ("bind:\n  - proxy-protocol: v1\n", "2: bind: address is missing"),
            ("bind:\n  - address:\n      - ':1'\n", "2: bind: address: takes a word"),
            (
                "certificates: [{certfile: a, passphrase: b}]\n",
                "1: certificates: passphrase: unknown option; known are certfile, keyfile",
            ),
            ("certfile:\n  - {a: b}\n", "2: certfile: an item of the list is not a word"),
        ] {
            assert_eq!(read_text(text).1, format!("shop.yaml line {error}"), "{text}");
        }
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
