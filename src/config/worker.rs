//! Types of settings: the number of workers, their kind, and when one is ready.

use std::fmt;
use std::time::Duration;

use crate::choice::choice;
use crate::row::{Arity, Bounds};
use crate::value::Value;

/// The maximum number of workers of a server.
pub const MOST_WORKERS: u16 = 1024;

/// The number of worker processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// This number.
    Count(u16),
    /// The number of processors that can be used, which the master finds out.
    Auto,
}

impl fmt::Display for Workers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(out),
            Self::Auto => out.write_str("auto"),
        }
    }
}

impl Value for Workers {
    fn parse(text: &str, range: Bounds) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        u16::parse(text, range).map(Self::Count).map_err(|reason| format!("{reason}, or auto"))
    }

    fn texts(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

/// The kind of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerClass {
    /// Serves a WSGI application.
    Wsgi,
    /// Runs any program that serves from inherited sockets.
    Exec,
}

impl fmt::Display for WorkerClass {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wsgi => out.write_str("wsgi"),
            Self::Exec => out.write_str("exec"),
        }
    }
}

const GREEN_THREADS: &str = "there are no green threads here; use gthread with more threads, such \
     as --threads 64: connections that are idle or slow occupy none";

/// Parts of the names of other classes, and what to use in place of such a class.
const FOREIGN_CLASSES: [(&str, &str); 7] = [
    (
        "uvicorn",
        "uvicorn's workers do not run here, but uvicorn does: --worker-class exec -- uvicorn --fd 3 \
         APP",
    ),
    ("gevent", GREEN_THREADS),
    ("eventlet", GREEN_THREADS),
    (
        "tornado",
        "Tornado's loop does not run here; use gthread for a WSGI application, or \
         --worker-class exec -- PROGRAM",
    ),
    (
        "aiohttp",
        "aiohttp's workers do not run here; a program that serves from descriptor 3 does: \
         --worker-class exec -- PROGRAM",
    ),
    (
        "hypercorn",
        "hypercorn's workers do not run here, but hypercorn does: --worker-class exec -- hypercorn \
         --bind fd://3 APP",
    ),
    (
        "asgi",
        "ASGI is not supported yet; uvicorn runs here: --worker-class exec -- uvicorn --fd 3 APP",
    ),
];

/// Whether a class of gunicorn serves WSGI applications with threads, by its name or its path.
fn is_class_of_threads(text: &str) -> bool {
    let name = text.strip_prefix("egg:gunicorn#").unwrap_or(text);
    [
        "sync",
        "gthread",
        "gunicorn.workers.sync.SyncWorker",
        "gunicorn.workers.gthread.ThreadWorker",
        "gunicorn.workers.SyncWorker",
        "gunicorn.workers.ThreadWorker",
    ]
    .contains(&name)
}

impl Value for WorkerClass {
    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        if text == "exec" {
            return Ok(Self::Exec);
        }
        if text == "wsgi" || is_class_of_threads(text) {
            return Ok(Self::Wsgi);
        }
        let package = text.strip_prefix("egg:gunicorn#").unwrap_or(text).to_ascii_lowercase();
        let reason = match FOREIGN_CLASSES.iter().find(|(part, _)| package.contains(part)) {
            Some((_, reason)) => reason,
            None if text.contains(['.', ':']) => {
                "worker classes written in Python do not run here, since the server is no Python; use \
                 gthread for a WSGI application, or --worker-class exec -- PROGRAM"
            }
            None => "unknown; use wsgi or exec",
        };
        Err(format!("{text:?}: {reason}"))
    }

    fn texts(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

choice! {
    /// What a worker does when the application that it has loaded shows its debugger to clients.
    DebugGuard, takes Arity::One;
    Warn = "warn", "the log has a warning";
    Refuse = "refuse", "the worker does not become ready";
    Off = "off" | "none" | "false", "no debugger is looked for";
}

/// When a worker of class exec is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadyAfter {
    /// After this time, or when it reports `READY=1` before.
    Length(Duration),
    /// When it reports `READY=1` (`sd_notify(3)`).
    Notify,
}

impl ReadyAfter {
    /// The time after which it is ready without a report.
    #[must_use]
    pub fn length(self) -> Option<Duration> {
        match self {
            Self::Length(length) => Some(length),
            Self::Notify => None,
        }
    }
}

impl Value for ReadyAfter {
    fn parse(text: &str, range: Bounds) -> Result<Self, String> {
        if text == "notify" {
            return Ok(Self::Notify);
        }
        let length = Duration::parse(text, range).map(Self::Length);
        length.map_err(|reason| format!("{reason}, or notify"))
    }

    fn texts(&self) -> Vec<String> {
        self.length().map_or_else(|| vec!["notify".to_owned()], |length| length.texts())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_a_number_or_auto() {
        assert_eq!(Workers::parse("auto", None), Ok(Workers::Auto));
        assert_eq!(Workers::parse("4", None), Ok(Workers::Count(4)));
        let reason = Workers::parse("many", None).unwrap_err();
        assert_eq!(reason, "cannot read \"many\" as a whole number, or auto");
    }

    #[test]
    fn readiness_is_a_length_or_a_word() {
        for (text, ready_after) in [
            ("0", ReadyAfter::Length(Duration::ZERO)),
            ("0.5", ReadyAfter::Length(Duration::from_millis(500))),
            ("notify", ReadyAfter::Notify),
        ] {
            let read = ReadyAfter::parse(text, None).unwrap();
            assert_eq!(read, ready_after);
            assert_eq!(ReadyAfter::parse(&read.texts()[0], None), Ok(read));
        }
        let reason = ReadyAfter::parse("soon", None).unwrap_err();
        assert!(reason.ends_with("2m, or notify"), "{reason}");
    }

    #[test]
    fn gunicorns_classes_are_mapped_or_refused() {
        for text in
            ["wsgi", "sync", "gthread", "egg:gunicorn#sync", "gunicorn.workers.sync.SyncWorker"]
        {
            assert_eq!(WorkerClass::parse(text, None), Ok(WorkerClass::Wsgi));
        }
        assert_eq!(WorkerClass::parse("exec", None), Ok(WorkerClass::Exec));
        for (text, part) in [
            ("gevent", "--threads 64"),
            ("gunicorn.workers.ggevent.GeventWorker", "--threads 64"),
            ("egg:gunicorn#gevent", "--threads 64"),
            ("geventwebsocket.gunicorn.workers.GeventWebSocketWorker", "--threads 64"),
            ("eventlet", "--threads 64"),
            ("tornado", "use gthread for a WSGI application"),
            ("asgi", "not supported yet"),
            ("uvicorn.workers.UvicornWorker", "exec -- uvicorn --fd 3 APP"),
            ("uvicorn_worker.UvicornH11Worker", "exec -- uvicorn --fd 3 APP"),
            ("aiohttp.GunicornUVLoopWebWorker", "-- PROGRAM"),
            ("shop.worker.ShopWorker", "written in Python"),
            ("", "unknown"),
        ] {
            let reason = WorkerClass::parse(text, None).unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }
}
