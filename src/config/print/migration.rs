//! docs/from-gunicorn.md: each setting of gunicorn, with its counterpart here.

use std::fmt::Write as _;

use crate::gunicorn::{FOREIGN, Foreign};
use crate::table::ROWS;
use crate::wrap::wrap;

const INTRODUCTION: [&str; 10] = [
    "`gunicorn` in a command line can be replaced by `monoceros` as long as all of its flags \
     are in the first table; `GUNICORN_CMD_ARGS`, `WEB_CONCURRENCY`, `PORT` and \
     `FORWARDED_ALLOW_IPS` are read too. A flag that is not supported yet is an error that names it; it is never ignored.",
    "Behind a proxy the defaults are gunicorn's: for a proxy on the same machine, on a unix \
     socket, or in `FORWARDED_ALLOW_IPS`, that sends `X-Forwarded-Proto: https`, \
     `wsgi.url_scheme` is `https`. `REMOTE_ADDR` is the proxy's address, as in gunicorn, until \
     `--real-ip` names the header that the proxy sets.",
    "With `--certfile` every address serves HTTPS, as in gunicorn; `http://` before an address \
     makes it a plain one. A certificate is read by the master before it gives up its privileges, \
     so the key needs no right for the user of the workers. `ciphers` takes names of suites, not \
     OpenSSL's expressions.",
    "The body of a request has at most 1 GiB, where gunicorn has no limit: a longer one is \
     answered 413, until `--limit-request-body` allows it. Access rules, limits for each client \
     and allowed hosts need no proxy in front of the server.",
    "Static files need neither nginx nor WhiteNoise: with `static: auto` the server sends those \
     of a Django project, also while each thread of the application is busy. WhiteNoise can stay. \
     `X-Accel-Redirect` and `X-Sendfile` pass to a proxy as before, unless `--accel` names the \
     directories.",
    "`gunicorn.conf.py` is not read, because the master runs no Python. Its settings go into \
     `monoceros.yaml` under the same names. Computed values go into the environment, such as \
     `MONOCEROS_WORKERS=$((2 * $(nproc) + 1))`; or use `workers: auto`.",
    "The loggers `gunicorn.error` and `gunicorn.access` exist, and write the error log: an \
     application that logs through them needs no change. `SERVER_SOFTWARE` in `os.environ` has \
     the names of both servers. The environ has no `gunicorn.socket`: an application that takes \
     over a connection, as flask-sock does for WebSockets, needs `worker-class: exec` and a \
     server that supports it.",
    "Lines of the access log equal gunicorn's ([access-log.md](access-log.md)), or are JSON. Figures \
     for StatsD have gunicorn's names. Prometheus needs no exporter: `metrics: 127.0.0.1:9180`. \
     Responses have an `X-Request-ID`, until `request-id-header: none` leaves it out.",
    "Flags cannot be abbreviated (`--work 4`): a flag that is added later must not change the \
     meaning of a command line.",
    "Numbers out of range, unknown names and invalid values are errors at the start. At a \
     reload the running settings stay.",
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
    line(&mut out, format_args!("\n## Supported settings\n"));
    line(&mut out, format_args!("| gunicorn | here | meaning |\n| --- | --- | --- |"));
    for row in ROWS {
        if let Some(name) = row.gunicorn {
            let name_here = if row.positional { vec![row.key()] } else { row.long_flags() };
            let name_here = name_here.join("`, `");
            let meaning =
                row.differs.map_or("same".to_owned(), |differs| format!("different: {differs}"));
            line(&mut out, format_args!("| `{name}` | `{name_here}` | {meaning} |"));
        }
    }
    line(&mut out, format_args!("\n## Not supported yet\n"));
    line(&mut out, format_args!("| gunicorn | flag |\n| --- | --- |"));
    for foreign in FOREIGN.iter().filter(|foreign| foreign.instead.is_none()) {
        line(&mut out, format_args!("| `{}` | {} |", foreign.name, flags(foreign)));
    }
    line(&mut out, format_args!("\n## Not supported\n"));
    line(
        &mut out,
        format_args!("| gunicorn | flag | reason, or what to do |\n| --- | --- | --- |"),
    );
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
