//! docs/from-gunicorn.md: how to move from gunicorn, and each of its settings with what becomes of
//! it here.

use std::fmt::Write as _;

use crate::gunicorn::{FOREIGN, Foreign, ForeignVerdict};
use crate::table::{ROWS, Row};
use crate::wrap::wrap;

/// A part of the guide: its heading, and its paragraphs. A paragraph that begins with a fence is
/// printed as it is, and one that begins with a dash is an item.
type Part = (&'static str, &'static [&'static str]);

const GUIDE: [Part; 6] = [
    (
        "One word",
        &[
            "Replace the word `gunicorn` by `monoceros`:",
            "```sh\n\
         monoceros -w 4 -b 0.0.0.0:8000 shop.wsgi     # was: gunicorn -w 4 -b 0.0.0.0:8000 shop.wsgi\n\
         monoceros --check-config -w 4 shop.wsgi      # checks before that it would start\n\
         ```",
            "Flags, `GUNICORN_CMD_ARGS`, `WEB_CONCURRENCY`, `PORT` and `FORWARDED_ALLOW_IPS` mean what \
         they mean to gunicorn: `-w4`, `--log-file=-`, options behind the application, and of a flag \
         that is given twice the last one counts. Signals and exit statuses are gunicorn's too \
         ([signals.md](signals.md)).",
            "A flag that is not supported is an error that names it, and the reason; it is never \
         ignored. One that has nothing to do here, such as `--worker-tmp-dir /dev/shm`, is accepted, \
         and told once at debug level. The [tables](#every-setting) have all of them.",
        ],
    ),
    (
        "Values",
        &[
            "Values on the command line, in a file in Python, in `GUNICORN_CMD_ARGS` and in the three \
         other variables are read as gunicorn reads them, and never more strictly. A number out of range is clipped, an \
         unknown log level is `info`, an unknown atom of the access log is a dash, each with a \
         warning. `--limit-request-line 0` and `--limit-request-field_size 0` mean no limit but that \
         of the whole head, 1 MiB. `[::]:8000` takes IPv4 too. Empty texts, as a script makes them \
         of variables that are not set (`--name \"$NAME\"`), leave a setting unset where they do so \
         in gunicorn.",
            "`monoceros.yaml` and variables that begin with `MONOCEROS_` are strict: there a wrong value \
         is an error at the start. At a reload the running settings stay after any error.",
            "Abbreviations of flags (`--log-l debug`) are accepted in `GUNICORN_CMD_ARGS`. On the command \
         line the error names the whole flag: a flag that is added later must not change the meaning \
         of a command line.",
        ],
    ),
    (
        "The configuration file",
        &[
            "`gunicorn.conf.py` is read: the file that `-c` names, `python:MODULE`, else \
         `./gunicorn.conf.py`. It is run as a program by the application's interpreter, in the \
         working directory, and what its names stand for at the end counts. Its hooks are called. \
         The master runs no Python: the process that runs the file also forks the workers, so what \
         the file has imported, opened and started is there.",
            "From the weakest to the strongest: default, `WEB_CONCURRENCY`, `PORT` and \
         `FORWARDED_ALLOW_IPS`, file, `GUNICORN_CMD_ARGS`, `MONOCEROS_*`, command line. Where there \
         is a `./monoceros.yaml` too, that is read instead, with a warning.",
            "`monoceros convert gunicorn.conf.py` prints the file as a `monoceros.yaml`. Values that it \
         computes are marked, and what has to stay in Python, such as a hook, is listed on standard \
         error ([development.md](development.md#from-gunicornconfpy-to-yaml)).",
            "`--check-config` exits with 0, or with 1 and the names of the file and of the setting. It \
         also asks about names that are nearly settings, which gunicorn ignores: `access_logfile: is \
         not a setting; did you mean accesslog?` `--print-config` prints each of gunicorn's settings \
         in gunicorn's form, if there is such a file or `GUNICORN_CMD_ARGS`, also those that this \
         server refuses. As in gunicorn, both leave to a start what only a start needs: a log file \
         that cannot be opened, a certificate that cannot be read, and a configuration of Python's \
         logging that fails are warnings.",
            "A file without hooks can become `monoceros.yaml`, where settings have the same names. Then \
         there is no process for it. Computed values go into the environment, such as \
         `MONOCEROS_WORKERS=$((2 * $(nproc) + 1))`; or use `workers: auto`.",
        ],
    ),
    (
        "Worker classes",
        &[
            "`sync` and `gthread` mean `wsgi`, which keeps connections alive and reads slow clients \
         without occupying a thread. So most of what gevent is used for needs none: use `threads`, as \
         many as requests wait for databases and other servers at a time.",
            "- `gevent`, `eventlet`: use `gthread`, such as `--threads 64`, and take the patching of the \
         standard library out.",
            "- `uvicorn.workers.UvicornWorker` and other servers with a loop of their own run as programs \
         that inherit the socket: `monoceros -w 4 -k exec -- uvicorn --fd 3 shop.asgi:application` \
         ([any program](operating.md#any-program)).",
            "- Classes written in Python do not run: the server is no Python. What they add to requests \
         can be middleware of the application.",
        ],
    ),
    (
        "What to know",
        &[
            "Each request has its own `timeout`, in every class and thread: its client is answered 504, \
         and the log shows where the application was. gunicorn kills the worker with all requests.",
            "Idle connections are kept for 75 seconds instead of 2, so that a load balancer closes first.",
            "Behind a proxy the defaults are gunicorn's: for a proxy on the same machine, on a unix \
         socket, or in `FORWARDED_ALLOW_IPS`, that sends `X-Forwarded-Proto: https`, \
         `wsgi.url_scheme` is `https`. `REMOTE_ADDR` is the proxy's address, as in gunicorn, until \
         `--real-ip` names the header that the proxy sets.",
            "With `--certfile` every address serves HTTPS, as in gunicorn; `http://` before an address \
         makes it a plain one. A certificate is read by the master before it gives up its privileges, \
         so the key needs no right for the user of the workers. An expression of OpenSSL in `ciphers` \
         chooses among the suites that there are here.",
            "The body of a request has at most 1 GiB, where gunicorn has no limit: a longer one is \
         answered 413, until `--limit-request-body` allows it. Access rules, limits for each client \
         and allowed hosts need no proxy in front of the server.",
            "Static files need neither nginx nor WhiteNoise: with `static: auto` the server sends those \
         of a Django project, also while each thread of the application is busy. WhiteNoise can stay. \
         `X-Accel-Redirect` and `X-Sendfile` pass to a proxy as before, unless `--accel` names the \
         directories.",
            "The loggers `gunicorn.error` and `gunicorn.access` exist, and write the error log: an \
         application that logs through them needs no change. `SERVER_SOFTWARE` in `os.environ` has \
         the names of both servers. WebSockets of flask-sock and simple-websocket work with \
         `threads` as with gunicorn's; the environ has `gunicorn.socket` in requests that ask for \
         another protocol ([application.md](application.md#websockets-and-other-protocols)).",
            "Lines of the access log equal gunicorn's ([access-log.md](access-log.md)), or are JSON. \
         Figures for StatsD have gunicorn's names. Prometheus needs no exporter: `metrics: \
         127.0.0.1:9180`. Responses have an `X-Request-ID`, until `request-id-header: none` leaves \
         it out.",
        ],
    ),
    ("Every setting", &["The settings of gunicorn 27, with what becomes of each."]),
];

/// The page.
pub(super) fn text() -> String {
    let mut out =
        String::from("# From gunicorn\n\nPrinted from the settings table; not edited by hand.\n");
    for (heading, paragraphs) in GUIDE {
        line(&mut out, format_args!("\n## {heading}\n"));
        let mut before = "";
        for text in paragraphs {
            let is_next_item = before.starts_with("- ") && text.starts_with("- ");
            if !before.is_empty() && !is_next_item {
                out.push('\n');
            }
            paragraph(&mut out, text);
            before = text;
        }
    }
    push_rows(&mut out);
    push_foreign(&mut out);
    line(&mut out, format_args!("\n## Only here\n"));
    for row in ROWS.iter().filter(|row| row.gunicorn.is_none()) {
        let text = format!("- [`{}`](settings.md#{}): {}", row.subject(), row.key(), row.summary());
        paragraph(&mut out, &text);
    }
    out
}

fn paragraph(out: &mut String, text: &str) {
    if text.starts_with("```") {
        line(out, format_args!("{text}"));
    } else {
        let indent = if text.starts_with("- ") { "\n  " } else { "\n" };
        line(out, format_args!("{}", wrap(text, 80).join(indent)));
    }
}

/// The settings that have a row.
fn push_rows(out: &mut String) {
    line(out, format_args!("\n### Supported\n"));
    line(out, format_args!("| gunicorn | here | meaning |\n| --- | --- | --- |"));
    for row in ROWS {
        let Some(name) = row.gunicorn else { continue };
        let meaning =
            row.differs.map_or("same".to_owned(), |differs| format!("different: {differs}"));
        line(out, format_args!("| `{name}` | `{}` | {meaning} |", names_here(row).join("`, `")));
    }
    for foreign in FOREIGN {
        if let ForeignVerdict::DefaultOf(row) = foreign.verdict {
            let name = foreign.name;
            line(out, format_args!("| `{name}` | `--{row}` | the default of that |"));
        }
        if matches!(foreign.verdict, ForeignVerdict::Hook | ForeignVerdict::PythonValue(_)) {
            let name = foreign.name;
            line(out, format_args!("| `{name}` | `{name}`, in a file in Python | same |"));
        }
    }
}

fn names_here(row: &Row) -> Vec<String> {
    if row.positional { vec![row.key()] } else { row.long_flags() }
}

/// The settings that have no row, by what becomes of them.
fn push_foreign(out: &mut String) {
    let of = |verdict: fn(&ForeignVerdict) -> Option<&'static str>| {
        FOREIGN.iter().filter_map(move |it| Some((it, verdict(&it.verdict)?)))
    };
    table(
        out,
        "Accepted, without effect",
        "reason",
        of(|verdict| match verdict {
            ForeignVerdict::Accepted(reason) => Some(reason),
            ForeignVerdict::DefaultOf(_)
            | ForeignVerdict::Aid(_)
            | ForeignVerdict::Refused(_)
            | ForeignVerdict::Missing
            | ForeignVerdict::Hook
            | ForeignVerdict::PythonValue(_) => None,
        }),
    );
    table(
        out,
        "Not supported",
        "reason, or what to do",
        of(|verdict| match verdict {
            ForeignVerdict::Aid(reason) | ForeignVerdict::Refused(reason) => Some(reason),
            ForeignVerdict::Missing => Some("not yet"),
            ForeignVerdict::Accepted(_)
            | ForeignVerdict::DefaultOf(_)
            | ForeignVerdict::Hook
            | ForeignVerdict::PythonValue(_) => None,
        }),
    );
}

fn table<'a>(
    out: &mut String,
    heading: &str,
    column: &str,
    entries: impl Iterator<Item = (&'a Foreign, &'static str)>,
) {
    line(out, format_args!("\n### {heading}\n"));
    line(out, format_args!("| gunicorn | flag | {column} |\n| --- | --- | --- |"));
    for (foreign, reason) in entries {
        line(out, format_args!("| `{}` | {} | {reason} |", foreign.name, flags(foreign)));
    }
}

fn flags(foreign: &Foreign) -> String {
    let flags: Vec<_> = foreign.flags.iter().map(|flag| format!("`{flag}`")).collect();
    flags.join(", ")
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to a String does not fail");
}
