//! docs/signals.md: the effect of each signal.

use std::fmt::Write as _;

use crate::signals::SIGNALS;
use crate::wrap::wrap;

const INTRODUCTION: [&str; 2] = [
    "Signals are sent to the master. Its pid is in the pid file, and in the log line with the \
     addresses. The effect on a single worker is listed too: a signal to every process with this \
     name (`pkill -HUP monoceros`) does no harm.",
    "A mold (`--preload`) ends with SIGTERM, SIGINT and SIGQUIT, and the master replaces it. With \
     SIGUSR1 it opens its log again; it ignores the others. In a worker of class `exec` the \
     program decides.",
];

/// The effects of signals in combination.
const TOGETHER: [&str; 5] = [
    "A signal is not lost while the master acts on another one. Several signals of the same kind \
     at once may act as one (`signal(7)`).",
    "A reload during a reload replaces it: its new workers are ended, and the old generation \
     serves until the newest one is ready. A reload before the first workers are ready begins \
     when they are.",
    "An upgrade during an upgrade is refused. A drain or a stop during an upgrade ends the new \
     master too.",
    "While it drains, the master acts on SIGTERM, SIGINT and SIGQUIT, which stop it at once, and \
     on SIGUSR1.",
    "The master ignores SIGALRM, SIGIO, SIGPIPE, SIGPROF, SIGPWR, SIGVTALRM, SIGXFSZ and the \
     real-time signals.",
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
