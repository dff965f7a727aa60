//! docs/settings.md: every setting with all its columns.

use std::fmt::Write as _;

use super::prose;
use crate::row::Section;
use crate::table::{ROWS, Row};
use crate::wrap::wrap;

const WIDTH: usize = 80;

/// The page.
pub(super) fn text() -> String {
    let mut out =
        String::from("# Settings\n\nPrinted from the settings table; not edited by hand.\n\n");
    for text in prose::SOURCES {
        paragraph(&mut out, text);
    }
    for section in Section::ALL {
        line(&mut out, format_args!("## {}\n", section.title()));
        for row in ROWS.iter().filter(|row| row.section == section) {
            setting(&mut out, row);
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn setting(out: &mut String, row: &Row) {
    line(out, format_args!("### {}\n", row.key()));
    for text in row.paragraphs() {
        paragraph(out, &text);
    }
    if !row.choices.is_empty() {
        line(out, format_args!("| word | meaning |\n| --- | --- |"));
        for (word, meaning) in row.choices {
            line(out, format_args!("| `{word}` | {meaning} |"));
        }
        out.push('\n');
    }
    let flags = prose::flags(row).into_iter().map(|flag| format!("`{flag}`"));
    item(out, "Command line", &flags.collect::<Vec<_>>().join(", "));
    if row.in_file {
        item(out, "File", &format!("`{}`", row.key()));
    }
    item(out, "Environment", &format!("`{}`", row.variable()));
    item(out, "Default", &prose::default(row));
    if let Some(range) = prose::range(row) {
        item(out, "Range", &range);
    }
    item(out, "A change takes effect", prose::effect(row));
    if let Some(name) = row.gunicorn {
        let differs = row.differs.map_or(String::new(), |differs| format!("; differs: {differs}"));
        item(out, "gunicorn", &format!("`{name}`{differs}"));
    }
    out.push('\n');
}

/// One item of the list below a setting, continued with an indentation.
fn item(out: &mut String, name: &str, text: &str) {
    let lines = wrap(&format!("- {name}: {text}"), WIDTH);
    line(out, format_args!("{}", lines.join("\n  ")));
}

fn paragraph(out: &mut String, text: &str) {
    line(out, format_args!("{}\n", wrap(&linked(text), WIDTH).join("\n")));
}

/// Flags in backquotes become links to their setting.
fn linked(text: &str) -> String {
    let mut out = String::new();
    for (index, piece) in text.split('`').enumerate() {
        let row = ROWS.iter().find(|row| row.flag() == piece);
        match row {
            _ if index % 2 == 0 => out.push_str(piece),
            Some(row) => out.push_str(&format!("[`{piece}`](#{})", row.key())),
            None => out.push_str(&format!("`{piece}`")),
        }
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to a String does not fail");
}
