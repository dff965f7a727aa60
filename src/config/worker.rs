//! Settings with a meaning of their own: how many workers, and of which kind.

use std::fmt;

use crate::row::Range;
use crate::value::Value;

/// Number of worker processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// So many.
    Count(u16),
    /// As many as there are processors to use; found out by the master.
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
    fn parse(text: &str, range: Range) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        u16::parse(text, range).map(Self::Count).map_err(|reason| format!("{reason}, or auto"))
    }

    fn texts(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

/// Kind of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerClass {
    /// Serves a WSGI application.
    Wsgi,
}

impl fmt::Display for WorkerClass {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wsgi => out.write_str("wsgi"),
        }
    }
}

impl Value for WorkerClass {
    fn parse(text: &str, _: Range) -> Result<Self, String> {
        let reason = match text {
            "wsgi" | "sync" | "gthread" => return Ok(Self::Wsgi),
            "asgi" => "ASGI is not supported yet",
            "gevent" | "gevent_wsgi" | "gevent_pywsgi" | "eventlet" => {
                "there are no green threads here; use wsgi with --threads"
            }
            "tornado" => "Tornado is not supported; use wsgi for its WSGI applications",
            _ if text.contains(['.', ':']) => "worker classes written in Python are not supported",
            _ => "unknown; use wsgi",
        };
        Err(format!("{text:?}: {reason}"))
    }

    fn texts(&self) -> Vec<String> {
        vec![self.to_string()]
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
    fn gunicorns_classes_are_mapped_or_refused() {
        for text in ["wsgi", "sync", "gthread"] {
            assert_eq!(WorkerClass::parse(text, None), Ok(WorkerClass::Wsgi));
        }
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
