//! docs/man/monoceros.1: the manual page, in the man macros of roff (man(7)).

use std::fmt::Write as _;

use super::prose;
use crate::command_texts::{COMMANDS, FLAGS, NOTES};
use crate::row::Section;
use crate::signals::SIGNALS;
use crate::table::{ROWS, Row};

const EXITS: [(&str, &str); 5] = [
    ("0", "The server has stopped by a signal or a command, or the command is done."),
    ("1", "Invalid configuration, or the start failed. For a control command: the command failed."),
    ("2", "The command line is wrong."),
    (
        "3",
        "A worker failed to start, for example because importing the application raised an exception.",
    ),
    ("4", "The application cannot be loaded: it is not in its module, or cannot be called."),
];

const FILES: [(&str, &str); 1] = [(
    "monoceros.yaml",
    "Settings, read from the working directory unless `--config` names another file.",
)];

/// The page.
pub(super) fn text() -> String {
    let mut out = format!(
        ".\\\" Printed from the settings table; not edited by hand.\n\
         .TH MONOCEROS 1 \"\" \"monoceros {}\" \"User Commands\"\n\
         .SH NAME\nmonoceros \\- application server for Python\n\
         .SH SYNOPSIS\n.B monoceros\n[\\fIFLAG\\fR]... [\\fIAPP\\fR]\n.br\n\
         .B monoceros\n[\\fIFLAG\\fR]... \\-\\-worker\\-class exec \\-\\- \
         \\fIPROGRAM\\fR [\\fIARGUMENT\\fR]...\n\
         .br\n.B monoceros\n\\fICOMMAND\\fR [\\fIFLAG\\fR]... [\\fIPID\\fR]\n\
         .SH DESCRIPTION\n",
        env!("CARGO_PKG_VERSION")
    );
    paragraph(
        &mut out,
        "Serves a Python web application from worker processes that a master process starts, \
         watches and replaces. `APP` names the application. With `--worker-class exec` the worker \
         processes run `PROGRAM`, any server that can serve from a socket it inherits.",
    );
    for text in prose::SOURCES {
        out.push_str(".PP\n");
        paragraph(&mut out, text);
    }
    out.push_str(".SH COMMANDS\n");
    for command in &COMMANDS {
        list(&mut out, &[(&command.usage(), command.text)]);
    }
    for text in NOTES {
        out.push_str(".PP\n");
        paragraph(&mut out, text);
    }
    out.push_str(".SS \"Flags of commands\"\n");
    list(&mut out, &FLAGS);
    out.push_str(".SH OPTIONS\n");
    for section in Section::ALL {
        line(&mut out, format_args!(".SS \"{}\"", section.title()));
        ROWS.iter().filter(|row| row.section == section).for_each(|row| option(&mut out, row));
    }
    out.push_str(".SS Other\n");
    list(
        &mut out,
        &[("-V, --version", "Print the version."), ("-h, --help", "Print a summary of the flags.")],
    );
    let signals: Vec<_> = SIGNALS.iter().map(|signal| (signal.name, signal.master)).collect();
    for (heading, entries) in
        [("SIGNALS", &signals[..]), ("EXIT STATUS", &EXITS), ("FILES", &FILES)]
    {
        line(&mut out, format_args!(".SH \"{heading}\""));
        list(&mut out, entries);
    }
    out
}

fn option(out: &mut String, row: &Row) {
    tag(out, &prose::flags(row).join(", "));
    let mut paragraphs = row.paragraphs();
    paragraphs.push(facts(row));
    for (index, text) in paragraphs.iter().enumerate() {
        if index > 0 {
            out.push_str(".IP\n");
        }
        paragraph(out, text);
    }
    if !row.choices.is_empty() {
        out.push_str(".RS\n");
        list(out, row.choices);
        out.push_str(".RE\n");
    }
}

fn facts(row: &Row) -> String {
    let default = prose::default(row);
    let range = prose::range(row).map_or(String::new(), |range| format!(" Range: {range}."));
    format!("Default: {default}.{range} A change takes effect {}.", prose::effect(row))
}

fn list(out: &mut String, entries: &[(&str, &str)]) {
    for (name, meaning) in entries {
        tag(out, name);
        paragraph(out, meaning);
    }
}

fn tag(out: &mut String, text: &str) {
    line(out, format_args!(".TP\n\\fB{}\\fR", escape(text)));
}

/// Writes a paragraph; text in backquotes becomes bold.
fn paragraph(out: &mut String, text: &str) {
    let pieces = text.split('`').map(escape).enumerate();
    let text: String = pieces
        .map(|(index, piece)| if index % 2 == 1 { format!("\\fB{piece}\\fR") } else { piece })
        .collect();
    // roff reads a line that starts with a dot or an apostrophe as a request.
    let guard = if text.starts_with(['.', '\'']) { "\\&" } else { "" };
    line(out, format_args!("{guard}{text}"));
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_taken_for_a_request() {
        let mut out = String::new();
        paragraph(&mut out, ".conf is `a-b` and \\n");
        assert_eq!(out, "\\&.conf is \\fBa\\-b\\fR and \\en\n");
    }
}
