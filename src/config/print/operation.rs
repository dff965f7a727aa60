//! docs/signals.md: the effect of each signal.

use std::fmt::Write as _;

use crate::signals::SIGNALS;
use crate::wrap::wrap;

const INTRODUCTION: [&str; 2] = [
    "Send them to the master, whose number is in the pid file and in the line that says where it \
     serves. What a single worker does with one is listed as well: a signal that is sent to \
     every process by name (`pkill -HUP monoceros`) does no harm.",
    "A mold (`--preload`) ends with SIGTERM, SIGINT and SIGQUIT, which the master notices, opens \
     its log again with SIGUSR1, and does nothing with the others. A worker of class `exec` does \
     what its program does.",
];

/// The effects of signals in combination.
const TOGETHER: [&str; 5] = [
    "A signal that comes while another one is being dealt with is never lost; of several of the \
     same kind that come at once one may be.",
    "A reload during a reload takes its place: what was on its way is ended, and the old \
     generation serves until the newest one is ready. A reload before the first workers are \
     ready is done afterwards.",
    "An upgrade during an upgrade is refused. A drain or a stop during an upgrade ends the new \
     master as well.",
    "While it drains, the master hears SIGTERM, SIGINT and SIGQUIT, which stop it at once, and \
     SIGUSR1.",
    "SIGALRM, SIGIO, SIGPIPE, SIGPROF, SIGPWR, SIGVTALRM, SIGXFSZ and the real-time signals mean \
     nothing to the master.",
];

/// The page.
pub(super) fn text() -> String {
    let mut out = String::from("# Signals\n\nPrinted from the signal table; not edited by hand.\n");
    for text in INTRODUCTION {
        line(&mut out, format_args!("\n{}", wrap(text, 80).join("\n")));
    }
    line(&mut out, format_args!("\n| signal | the master | a worker | gunicorn |"));
    line(&mut out, format_args!("| --- | --- | --- | --- |"));
    for signal in &SIGNALS {
        let gunicorn = signal.gunicorn.unwrap_or("the same");
        let (name, master, worker) = (signal.name, signal.master, signal.worker);
        line(&mut out, format_args!("| {name} | {master} | {worker} | {gunicorn} |"));
    }
    line(&mut out, format_args!("\n## Several at once\n"));
    for text in TOGETHER {
        line(&mut out, format_args!("{}", wrap(&format!("- {text}"), 80).join("\n  ")));
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to a String does not fail");
}
