//! The output of `--print-config`: YAML, with the origin of each value.

use std::fmt::Write as _;

use crate::loaded::Loaded;
use crate::row::Arity;
use crate::table::{ROWS, Row};

impl Loaded {
    /// Every setting with its origin, as YAML that can be loaded again.
    #[must_use]
    pub fn print(&self) -> String {
        text(self)
    }
}

/// The settings as a configuration file. Settings without a value, and those that a file
/// cannot have, are comments.
fn text(loaded: &Loaded) -> String {
    let mut out = String::new();
    for row in ROWS {
        let line = entry(row, loaded);
        let is_comment = row.texts(&loaded.settings).is_empty() || !row.in_file;
        let comment = if is_comment { "# " } else { "" };
        let (first, rest) = line.split_once('\n').unwrap_or((&line, ""));
        writeln!(out, "{:<40}  # {}", format!("{comment}{first}"), loaded.source(row))
            .expect("writing to a String does not fail");
        if !rest.is_empty() {
            out.push_str(rest);
            out.push('\n');
        }
    }
    out
}

/// A setting with its value, in one line or several.
pub(crate) fn entry(row: &Row, loaded: &Loaded) -> String {
    let value = value(row, loaded);
    let separator = if value.starts_with('\n') || value.is_empty() { "" } else { " " };
    format!("{}:{separator}{value}", row.key())
}

fn value(row: &Row, loaded: &Loaded) -> String {
    let texts = row.texts(&loaded.settings);
    match row.arity {
        Arity::List => texts.iter().map(|text| format!("\n  - {}", quote(text))).collect(),
        Arity::Switch => texts.concat(),
        Arity::One | Arity::Optional => texts.iter().map(|text| quote(text)).collect(),
    }
}

/// Quotes a text as a YAML scalar that is read as the same text.
fn quote(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            _ if letter.is_control() => {
                write!(quoted, "\\U{:08X}", u32::from(letter))
                    .expect("writing to a String does not fail");
            }
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a text needs no quotes in YAML: a small number, or a word that is neither a
/// number nor a constant.
fn is_plain(text: &str) -> bool {
    let number = text.len() < 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    if number {
        return text == "0" || !text.starts_with('0') && !text.is_empty();
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/._-:".contains(c);
    text.chars().all(allowed)
        && !text.ends_with(':')
        && text.contains(|c: char| c.is_ascii_alphabetic())
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && !matches!(text.to_ascii_lowercase().as_str(), "null" | "true" | "false" | "yes" | "no")
        || is_length(text)
}

fn is_length(text: &str) -> bool {
    let digits = text.trim_end_matches("ms").trim_end_matches('s');
    digits.len() < text.len() && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_reads_back() {
        for text in [
            "shop:app",
            "shop",
            "/run/x",
            "-",
            "0",
            "10",
            "007",
            "0x10",
            "1e3",
            "1.10",
            "null",
            "~",
            "true",
            ":80",
            "a: b",
            "a #b",
            "30s",
            "500ms",
            "s",
            "\"",
            "\\",
            "a\nb",
            "\t",
            "é",
            "127.0.0.1:8000",
            "[::1]:80",
            "%(h)s \"%(r)s\"",
            "",
            ".inf",
            "12:30:45",
            "\u{85}",
        ] {
            let yaml = format!("key: {}\n", quote(text));
            let value: serde_yaml::Value = serde_yaml::from_str(&yaml).unwrap();
            let read = match &value["key"] {
                serde_yaml::Value::String(read) => read.clone(),
                serde_yaml::Value::Number(read) => read.to_string(),
                other => panic!("{text:?} became {other:?}"),
            };
            assert_eq!(read, text, "{yaml}");
        }
    }
}
