//! gunicorn's settings that have no row in the table, with the error for each.

use crate::row::Arity::{self, List, One, Switch};

/// A setting of gunicorn that Monoceros does not have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreign {
    /// Name in gunicorn's configuration file.
    pub(crate) name: &'static str,
    /// Flags, short ones too; none if it has no flag.
    pub(crate) flags: &'static [&'static str],
    pub(crate) arity: Arity,
    /// The reason why it is missing; `None` if it is planned.
    pub(crate) instead: Option<&'static str>,
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

    /// The text of the error.
    pub(crate) fn refusal(&self) -> String {
        match self.instead {
            None => format!("gunicorn's {} is not supported yet", self.name),
            Some(instead) => format!("gunicorn's {} does not exist here: {instead}", self.name),
        }
    }
}

const fn later(name: &'static str, flags: &'static [&'static str], arity: Arity) -> Foreign {
    Foreign { name, flags, arity, instead: None }
}

const fn never(
    name: &'static str,
    flags: &'static [&'static str],
    arity: Arity,
    instead: &'static str,
) -> Foreign {
    Foreign { name, flags, arity, instead: Some(instead) }
}

const MASTER_HOOK: &str = "the master runs no Python";
const DIRTY: &str = "run a task queue beside the server";
const STDLIB_LOGGING: &str = "the server does not log through Python's logging";
const ONE_PARSER: &str = "there is one parser, and it is strict";
const TITLES: &str = "use name";

/// In the order of gunicorn's own reference.
#[rustfmt::skip]
pub(crate) const FOREIGN: &[Foreign] = &[
    later("reload", &["--reload"], Switch),
    never("reload_engine", &["--reload-engine"], One, "changes will be seen by the operating system's own notice"),
    later("reload_extra_files", &["--reload-extra-file"], List),
    never("spew", &["--spew"], Switch, "use python -m trace"),
    later("asgi_loop", &["--asgi-loop"], One),
    later("asgi_lifespan", &["--asgi-lifespan"], One),
    later("asgi_disconnect_grace_period", &["--asgi-disconnect-grace-period"], One),
    later("websocket_max_message_size", &["--websocket-max-message-size"], One),
    never("http_parser", &["--http-parser"], One, ONE_PARSER),
    never("sendfile", &["--no-sendfile"], Switch, "sendfile is used where it can be"),
    never("reuse_port", &["--reuse-port"], Switch, "workers share the master's sockets, and connections spread evenly"),
    never("worker_tmp_dir", &["--worker-tmp-dir"], One, "heartbeats are kept in memory; leave it out"),
    never("tmp_upload_dir", &[], One, "it does nothing in gunicorn either; set TMPDIR with env"),
    later("root_path", &["--root-path"], One),
    later("protocol", &["--protocol"], One),
    later("uwsgi_allow_ips", &["--uwsgi-allow-from"], One),
    never("permit_obsolete_folding", &["--permit-obsolete-folding"], Switch, ONE_PARSER),
    never("strip_header_spaces", &["--strip-header-spaces"], Switch, ONE_PARSER),
    never("permit_unconventional_http_method", &["--permit-unconventional-http-method"], Switch, ONE_PARSER),
    never("permit_unconventional_http_version", &["--permit-unconventional-http-version"], Switch, ONE_PARSER),
    never("casefold_http_method", &["--casefold-http-method"], Switch, ONE_PARSER),
    never("paste", &["--paste", "--paster"], One, "name a module that loads the PasteDeploy file"),
    never("raw_paste_global_conf", &["--paste-global"], List, "name a module that loads the PasteDeploy file"),
    never("logger_class", &["--logger-class"], One, STDLIB_LOGGING),
    never("logconfig", &["--log-config"], One, STDLIB_LOGGING),
    never("logconfig_dict", &[], One, STDLIB_LOGGING),
    never("logconfig_json", &["--log-config-json"], One, STDLIB_LOGGING),
    never("enable_stdio_inheritance", &["-R", "--enable-stdio-inheritance"], Switch, "workers inherit standard output and error unless capture-output is on"),
    never("default_proc_name", &[], One, TITLES),
    later("http_protocols", &["--http-protocols"], One),
    later("http2_cleartext", &["--http2-cleartext"], One),
    later("http2_max_concurrent_streams", &["--http2-max-concurrent-streams"], One),
    later("http2_initial_window_size", &["--http2-initial-window-size"], One),
    later("http2_max_frame_size", &["--http2-max-frame-size"], One),
    later("http2_max_header_list_size", &["--http2-max-header-list-size"], One),
    later("control_socket", &["--control-socket"], One),
    later("control_socket_mode", &["--control-socket-mode"], One),
    later("control_socket_disable", &["--no-control-socket"], Switch),
    never("dirty_apps", &["--dirty-app"], List, DIRTY),
    never("dirty_workers", &["--dirty-workers"], One, DIRTY),
    never("dirty_timeout", &["--dirty-timeout"], One, DIRTY),
    never("dirty_threads", &["--dirty-threads"], One, DIRTY),
    never("dirty_graceful_timeout", &["--dirty-graceful-timeout"], One, DIRTY),
    never("on_dirty_starting", &[], One, DIRTY),
    never("dirty_post_fork", &[], One, DIRTY),
    never("dirty_worker_init", &[], One, DIRTY),
    never("dirty_worker_exit", &[], One, DIRTY),
    never("on_starting", &[], One, MASTER_HOOK),
    never("when_ready", &[], One, MASTER_HOOK),
    never("on_reload", &[], One, MASTER_HOOK),
    never("pre_fork", &[], One, MASTER_HOOK),
    never("pre_exec", &[], One, MASTER_HOOK),
    never("child_exit", &[], One, MASTER_HOOK),
    never("nworkers_changed", &[], One, MASTER_HOOK),
    never("on_exit", &[], One, MASTER_HOOK),
    later("post_fork", &[], One),
    later("post_worker_init", &[], One),
    later("worker_int", &[], One),
    later("worker_abort", &[], One),
    later("worker_exit", &[], One),
    later("pre_request", &[], One),
    later("post_request", &[], One),
    later("ssl_context", &[], One),
];

#[cfg(test)]
mod tests;
