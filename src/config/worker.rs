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

impl Value for WorkerClass {
    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        let reason = match text {
            "wsgi" | "sync" | "gthread" => return Ok(Self::Wsgi),
            "exec" => return Ok(Self::Exec),
            "asgi" => "ASGI is not supported yet; exec runs any server of it",
            "gevent" | "gevent_wsgi" | "gevent_pywsgi" | "eventlet" => {
                "there are no green threads here; use wsgi with --threads"
            }
            "tornado" => "Tornado is not supported; use wsgi for its WSGI applications",
            _ if text.contains(['.', ':']) => {
                "worker classes written in Python are not supported; exec runs any server"
            }
            _ => "unknown; use wsgi or exec",
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
        for text in ["wsgi", "sync", "gthread"] {
            assert_eq!(WorkerClass::parse(text, None), Ok(WorkerClass::Wsgi));
        }
        assert_eq!(WorkerClass::parse("exec", None), Ok(WorkerClass::Exec));
        for (text, part) in [
            ("gevent", "--threads"),
            ("tornado", "wsgi"),
            ("asgi", "not supported yet"),
            ("uvicorn.workers.UvicornWorker", "written in Python"),
            ("", "unknown"),
        ] {
            let reason = WorkerClass::parse(text, None).unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }
}
