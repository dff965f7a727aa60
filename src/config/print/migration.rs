//! docs/from-gunicorn.md: each setting of gunicorn, with its counterpart here.

use std::fmt::Write as _;

use crate::gunicorn::{FOREIGN, Foreign};
use crate::table::ROWS;
use crate::wrap::wrap;

const INTRODUCTION: [&str; 6] = [
    "`gunicorn` in a command line can be replaced by `monoceros` as long as all of its flags \
     are in the first table; `GUNICORN_CMD_ARGS`, `WEB_CONCURRENCY` and `PORT` are read as well. \
     A flag that is not there yet is refused by name, never ignored.",
    "One thing that gunicorn does without any flag is not here yet: for a proxy on the same \
     machine, or in `FORWARDED_ALLOW_IPS`, that sends `X-Forwarded-Proto: https` it makes \
     `wsgi.url_scheme` `https`. Here the application has to believe its proxy itself: Django by \
     `SECURE_PROXY_SSL_HEADER`, Flask by werkzeug's `ProxyFix`. Otherwise it takes each request \
     for plain HTTP, which shows as endless redirections and as forms that fail the check of \
     their origin.",
    "`gunicorn.conf.py` is not read, because the master runs no Python. Its settings go into \
     `monoceros.yaml` under the same names; what it computes, the environment can say: \
     `MONOCEROS_WORKERS=$((2 * $(nproc) + 1))`, or `workers: auto`.",
    "The loggers `gunicorn.error` and `gunicorn.access` are there, and write the error log: an \
     application that hands its own log to them needs no change. `SERVER_SOFTWARE` in \
     `os.environ` has the names of both servers. `gunicorn.socket` is in no environ: an \
     application that takes a connection over, as flask-sock does for WebSockets, needs \
     `worker-class: exec` and a server that lets it.",
    "Flags cannot be abbreviated (`--work 4`): a flag added later must not change what a \
     command line means.",
    "Numbers out of range, unknown names and unreadable values are errors at the start, and \
     leave the running settings in place at a reload.",
];

/// The page.
pub(super) fn text() -> String {
    let mut out = String::from(
        "# From gunicorn\n\nPrinted from the settings table; not edited by hand. \
         Compared with gunicorn 27.\n",
    );
    for text in INTRODUCTION {
        line(&mut out, format_args!("\n{}", wrap(text, 80).join("\n")));
    }
    line(&mut out, format_args!("\n## Settings that are here\n"));
    line(&mut out, format_args!("| gunicorn | here | meaning |\n| --- | --- | --- |"));
    for row in ROWS {
        if let Some(name) = row.gunicorn {
            let said = if row.positional { row.key() } else { row.flag() };
            let meaning =
                row.differs.map_or("same".to_owned(), |differs| format!("different: {differs}"));
            line(&mut out, format_args!("| `{name}` | `{said}` | {meaning} |"));
        }
    }
    line(&mut out, format_args!("\n## Not yet\n"));
    line(&mut out, format_args!("| gunicorn | flag |\n| --- | --- |"));
    for foreign in FOREIGN.iter().filter(|foreign| foreign.instead.is_none()) {
        line(&mut out, format_args!("| `{}` | {} |", foreign.name, flags(foreign)));
    }
    line(&mut out, format_args!("\n## Not here, and why\n"));
    line(&mut out, format_args!("| gunicorn | flag | why, or what to do |\n| --- | --- | --- |"));
    for foreign in FOREIGN {
        if let Some(instead) = foreign.instead {
            line(&mut out, format_args!("| `{}` | {} | {instead} |", foreign.name, flags(foreign)));
        }
    }
    line(&mut out, format_args!("\n## Only here\n"));
    for row in ROWS.iter().filter(|row| row.gunicorn.is_none()) {
        let summary = row.summary();
        let text = format!("- [`{}`](settings.md#{}): {summary}", row.subject(), row.key());
        line(&mut out, format_args!("{}", wrap(&text, 80).join("\n  ")));
    }
    out
}

fn flags(foreign: &Foreign) -> String {
    let flags: Vec<_> = foreign.flags.iter().map(|flag| format!("`{flag}`")).collect();
    flags.join(", ")
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to a String does not fail");
}
