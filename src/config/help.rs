//! The output of `--help`: every flag with one sentence, by section.

use std::fmt::Write as _;

use crate::command_texts::{COMMANDS, FLAGS, NOTES};
use crate::row::{Arity, Section};
use crate::table::{ROWS, Row};
use crate::wrap::wrap;

/// The width of the text, in columns.
const WIDTH: usize = 80;

/// The column at which the sentences begin.
const COLUMN: usize = 30;

/// The whole text.
pub(crate) fn text() -> String {
    let mut out = String::from(
        "Serves a Python web application, or runs any server, in pre-forked worker\n\
         processes.\n\n\
         Usage: monoceros [FLAGS] [APP]\n       \
         monoceros [FLAGS] --worker-class exec -- PROGRAM [ARGUMENT]...\n       \
         monoceros COMMAND [FLAGS] [PID]\n       \
         monoceros check [--deploy] [FLAGS] [APP]\n",
    );
    push_commands(&mut out);
    for section in Section::ALL {
        push(&mut out, format_args!("\n{}:\n", section.title()));
        for row in ROWS.iter().filter(|row| row.section == section) {
            entry(&mut out, &left(row), &right(row));
        }
    }
    out.push('\n');
    entry(&mut out, "  -V, --version", "Print the version.");
    entry(&mut out, "  -h, --help", "Print this.");
    out.push('\n');
    for paragraph in [
        "Each setting can also be set in the configuration file (keep-alive: 75) and in the \
         environment (MONOCEROS_KEEP_ALIVE=75). Lengths of time are in seconds, or have a \
         unit: 500ms, 30s, 2m, 1h.",
        "The manual page monoceros(1) and docs/settings.md have the details of each.",
    ] {
        push(&mut out, format_args!("{}\n", wrap(paragraph, WIDTH).join("\n")));
    }
    out
}

/// The output of `--help` after a command.
pub(crate) fn commands() -> String {
    let mut out = String::from(
        "Usage: monoceros COMMAND [FLAGS] [PID]\n       \
         monoceros check [--deploy] [FLAGS] [APP]\n",
    );
    push_commands(&mut out);
    out.push_str("\nFlags of commands:\n");
    for (flag, text) in FLAGS {
        entry(&mut out, &format!("  {flag}"), &text.replace('`', ""));
    }
    for note in NOTES {
        push(&mut out, format_args!("\n{}\n", wrap(&note.replace('`', ""), WIDTH).join("\n")));
    }
    out
}

fn push_commands(out: &mut String) {
    out.push_str("\nCommands:\n");
    for command in COMMANDS {
        entry(out, &format!("  {}", command.usage()), command.text);
    }
}

fn left(row: &Row) -> String {
    if row.positional {
        return format!("  {}", row.placeholder);
    }
    let short = row.short.map_or("    ".to_owned(), |short| format!("-{short}, "));
    let value = match row.arity {
        Arity::Switch => String::new(),
        Arity::Optional => format!("[{}]", row.placeholder),
        Arity::One | Arity::List => row.placeholder.to_owned(),
    };
    format!("  {short}{} {value}", row.flag()).trim_end().to_owned()
}

fn right(row: &Row) -> String {
    let summary = row.summary().replace('`', "");
    match row.default_text().as_str() {
        "" | "false" => summary,
        default => format!("{summary} [{default}]"),
    }
}

fn entry(out: &mut String, left: &str, right: &str) {
    let mut first = left.to_owned();
    if left.len() + 2 > COLUMN {
        push(out, format_args!("{first}\n"));
        first.clear();
    }
    for line in wrap(right, WIDTH - COLUMN) {
        push(out, format_args!("{first:COLUMN$}{line}\n"));
        first.clear();
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_is_there_and_no_line_is_too_wide() {
        let text = text();
        for row in ROWS {
            assert!(text.contains(&left(row)), "{}", row.name);
        }
        for line in text.lines().chain(commands().lines()) {
            assert!(line.len() <= WIDTH && line.trim_end() == line, "{line:?}");
        }
    }
}
