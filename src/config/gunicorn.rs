//! gunicorn's settings that have no row in the table, with what becomes of each.

use crate::row::Arity::{self, List, One, Switch};

/// A setting of gunicorn that Monoceros does not have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreign {
    /// Name in gunicorn's configuration file.
    pub(crate) name: &'static str,
    /// Flags, short ones too; none if it has no flag.
    pub(crate) flags: &'static [&'static str],
    pub(crate) arity: Arity,
    /// What becomes of it.
    pub(crate) verdict: ForeignVerdict,
    /// The words, in lower case, that mean what is done here anyway; such a value is accepted.
    pub(crate) usual: &'static [&'static str],
}

/// What becomes of a setting of gunicorn that has no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForeignVerdict {
    /// Accepted without effect, for this reason.
    Accepted(&'static str),
    /// It sets the default of this row.
    DefaultOf(&'static str),
    /// A help for development that is missing, and what to do instead. A file in Python may ask
    /// for it, with a warning.
    Aid(&'static str),
    /// Refused, for this reason.
    Refused(&'static str),
    /// Not supported yet.
    Missing,
    /// A function that a file in Python defines.
    Hook,
    /// A value that only a file in Python can have, and what to do elsewhere.
    PythonValue(&'static str),
}

impl Foreign {
    /// The setting with this name in gunicorn's file, or with this flag without dashes.
    pub(crate) fn find(key: &str) -> Option<&'static Self> {
        let key = key.replace('_', "-");
        FOREIGN.iter().find(|foreign| {
            foreign.name.replace('_', "-") == key
                || foreign.flags.iter().any(|flag| flag.strip_prefix("--") == Some(&key))
        })
    }

    /// Its name in messages about a command line: the first long flag.
    pub(crate) fn flag(&self) -> &'static str {
        self.flags.iter().find(|flag| flag.starts_with("--")).unwrap_or(&self.name)
    }

    /// Whether a value means what is done here anyway.
    pub(crate) fn is_usual(&self, words: &[String]) -> bool {
        words.iter().all(|word| self.usual.contains(&word.trim().to_lowercase().as_str()))
    }

    /// The text of the error.
    pub(crate) fn refusal(&self) -> String {
        let name = self.name;
        match self.verdict {
            ForeignVerdict::Missing => format!("gunicorn's {name} is not supported yet"),
            ForeignVerdict::Hook => {
                format!("gunicorn's {name} is a function in a configuration file in Python")
            }
            ForeignVerdict::PythonValue(instead) => {
                format!("gunicorn's {name} is for a configuration file in Python: {instead}")
            }
            ForeignVerdict::Accepted(reason) => {
                format!("gunicorn's {name} has no effect here: {reason}; leave it out")
            }
            ForeignVerdict::DefaultOf(row) => {
                format!("gunicorn's {name} is the default of {row} here; use that")
            }
            ForeignVerdict::Aid(reason) | ForeignVerdict::Refused(reason) => {
                format!("gunicorn's {name} does not exist here: {reason}")
            }
        }
    }
}

const fn accepted(
    name: &'static str,
    flags: &'static [&'static str],
    arity: Arity,
    reason: &'static str,
) -> Foreign {
    Foreign { name, flags, arity, verdict: ForeignVerdict::Accepted(reason), usual: &[] }
}

const fn refused(
    name: &'static str,
    flags: &'static [&'static str],
    arity: Arity,
    reason: &'static str,
) -> Foreign {
    Foreign { name, flags, arity, verdict: ForeignVerdict::Refused(reason), usual: &["false"] }
}

const fn missing(name: &'static str, flags: &'static [&'static str], arity: Arity) -> Foreign {
    Foreign { name, flags, arity, verdict: ForeignVerdict::Missing, usual: &["false"] }
}

const fn aid(name: &'static str, flags: &'static [&'static str], instead: &'static str) -> Foreign {
    let verdict = ForeignVerdict::Aid(instead);
    Foreign { name, flags, arity: Switch, verdict, usual: &["false"] }
}

const fn hook(name: &'static str) -> Foreign {
    Foreign { name, flags: &[], arity: One, verdict: ForeignVerdict::Hook, usual: &[] }
}

const fn python_value(name: &'static str, instead: &'static str) -> Foreign {
    let verdict = ForeignVerdict::PythonValue(instead);
    Foreign { name, flags: &[], arity: One, verdict, usual: &[] }
}

impl Foreign {
    /// The same with these words for what is done here anyway.
    const fn usually(self, usual: &'static [&'static str]) -> Self {
        Self { usual, ..self }
    }
}

const NO_SSL_CONTEXT: &str = "no TLS runs in Python here; set certfile, keyfile, ca_certs, \
    cert_reqs, ciphers and tls-minimum-version instead";
const FOR_ASGI: &str = "it is for ASGI applications";
const DIRTY: &str = "run a task queue beside the server";
const NO_DIRTY: &str = "there are no dirty workers";
const NO_HTTP2: &str = "there is no HTTP/2";
const ONE_PARSER: &str = "there is one parser";
const STRICT_PARSER: &str = "the parser is strict, and what it refuses has served attacks";
const COMMANDS: &str = "commands such as monoceros status need no socket file";

/// In the order of gunicorn's own reference.
#[rustfmt::skip]
pub(crate) const FOREIGN: &[Foreign] = &[
    aid("spew", &["--spew"], "use python -m trace"),
    accepted("asgi_loop", &["--asgi-loop"], One, FOR_ASGI),
    accepted("asgi_lifespan", &["--asgi-lifespan"], One, FOR_ASGI),
    accepted("asgi_disconnect_grace_period", &["--asgi-disconnect-grace-period"], One, FOR_ASGI),
    accepted("websocket_max_message_size", &["--websocket-max-message-size"], One, FOR_ASGI),
    accepted("root_path", &["--root-path"], One, FOR_ASGI),
    accepted("http_parser", &["--http-parser"], One, ONE_PARSER),
    accepted("sendfile", &["--no-sendfile"], Switch, "sendfile is used where it can be"),
    accepted("reuse_port", &["--reuse-port"], Switch, "workers share the master's sockets, and connections spread evenly"),
    accepted("worker_tmp_dir", &["--worker-tmp-dir"], One, "heartbeats are kept in memory"),
    accepted("tmp_upload_dir", &[], One, "it has none in gunicorn either; TMPDIR, which env can set, is where large bodies wait"),
    missing("protocol", &["--protocol"], One).usually(&["http"]),
    accepted("uwsgi_allow_ips", &["--uwsgi-allow-from"], One, "it is for the protocol uwsgi"),
    refused("permit_obsolete_folding", &["--permit-obsolete-folding"], Switch, STRICT_PARSER),
    refused("strip_header_spaces", &["--strip-header-spaces"], Switch, STRICT_PARSER),
    refused("permit_unconventional_http_method", &["--permit-unconventional-http-method"], Switch, STRICT_PARSER),
    refused("permit_unconventional_http_version", &["--permit-unconventional-http-version"], Switch, STRICT_PARSER),
    refused("casefold_http_method", &["--casefold-http-method"], Switch, STRICT_PARSER),
    python_value("logconfig_dict", "write it to a file and use log-config-json"),
    accepted("enable_stdio_inheritance", &["-R", "--enable-stdio-inheritance"], Switch, "workers inherit standard output and error unless capture-output is on"),
    Foreign { name: "default_proc_name", flags: &[], arity: One, verdict: ForeignVerdict::DefaultOf("name"), usual: &[] },
    missing("http_protocols", &["--http-protocols"], One).usually(&["h1", ""]),
    missing("http2_cleartext", &["--http2-cleartext"], One).usually(&["off", "false"]),
    accepted("http2_max_concurrent_streams", &["--http2-max-concurrent-streams"], One, NO_HTTP2),
    accepted("http2_initial_window_size", &["--http2-initial-window-size"], One, NO_HTTP2),
    accepted("http2_max_frame_size", &["--http2-max-frame-size"], One, NO_HTTP2),
    accepted("http2_max_header_list_size", &["--http2-max-header-list-size"], One, NO_HTTP2),
    accepted("control_socket", &["--control-socket"], One, COMMANDS),
    accepted("control_socket_mode", &["--control-socket-mode"], One, COMMANDS),
    accepted("control_socket_disable", &["--no-control-socket"], Switch, COMMANDS),
    refused("dirty_apps", &["--dirty-app"], List, DIRTY),
    accepted("dirty_workers", &["--dirty-workers"], One, NO_DIRTY),
    accepted("dirty_timeout", &["--dirty-timeout"], One, NO_DIRTY),
    accepted("dirty_threads", &["--dirty-threads"], One, NO_DIRTY),
    accepted("dirty_graceful_timeout", &["--dirty-graceful-timeout"], One, NO_DIRTY),
    accepted("on_dirty_starting", &[], One, NO_DIRTY),
    accepted("dirty_post_fork", &[], One, NO_DIRTY),
    accepted("dirty_worker_init", &[], One, NO_DIRTY),
    accepted("dirty_worker_exit", &[], One, NO_DIRTY),
    hook("on_starting"),
    hook("when_ready"),
    hook("on_reload"),
    hook("pre_fork"),
    hook("pre_exec"),
    hook("child_exit"),
    hook("nworkers_changed"),
    hook("on_exit"),
    hook("post_fork"),
    hook("post_worker_init"),
    hook("worker_int"),
    hook("worker_abort"),
    hook("worker_exit"),
    hook("pre_request"),
    hook("post_request"),
    refused("ssl_context", &[], One, NO_SSL_CONTEXT),
];

#[cfg(test)]
mod tests;
