"""The settings of gunicorn 27, one row each, in its order.

`title` is the name of the setting's class, `flags` its names on the command line (none: only
a file or a program sets it), `shape` how the command line writes its value.
"""

import os
from collections import namedtuple

from gunicorn import _checks as check
from gunicorn import _hooks as hooks
from gunicorn import util

Row = namedtuple("Row", "title name section shape flags meta default check")

# Shapes. A switch has no value; a list is given value by value.
TEXT, NUMBER, OCTAL, SWITCH, LIST, OFF, MODE, HOOK = range(8)

FILE, SOCKET, WORKER, SECURITY = "Config File", "Server Socket", "Worker Processes", "Security"
DEBUG, MECHANICS, LOG, NAMING = "Debugging", "Server Mechanics", "Logging", "Process Naming"
HOOKS, SSL, HTTP2, CONTROL = "Server Hooks", "SSL", "HTTP/2", "Control"
DIRTY, DIRTY_HOOKS = "Dirty Arbiters", "Dirty Arbiter Hooks"

LOCAL = "127.0.0.1,::1"
SCHEME_FIELDS = {
    "X-FORWARDED-PROTOCOL": "ssl",
    "X-FORWARDED-PROTO": "https",
    "X-FORWARDED-SSL": "on",
}
ACCESS_FORMAT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'


def address():
    port = os.environ.get("PORT")
    return ["127.0.0.1:8000" if port is None else "0.0.0.0:" + port]


def control_path():
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    place = runtime or os.path.join(os.path.expanduser("~"), ".gunicorn")
    return os.path.join(place, "gunicorn.ctl")


def ssl_word(name):
    import ssl

    return getattr(ssl, name)


def text(title, name, section, flags, meta, default, of=check.validate_string):
    return Row(title, name, section, TEXT, flags, meta, default, of)


def number(title, name, section, flags, default, of=check.validate_pos_int):
    return Row(title, name, section, NUMBER, flags, "INT", default, of)


def octal(title, name, section, flags, default):
    return Row(title, name, section, OCTAL, flags, "INT", default, check.validate_pos_int)


def switch(title, name, section, flags, default=False):
    return Row(title, name, section, SWITCH, flags, None, default, check.validate_bool)


def several(title, name, section, flags, meta, default, of=check.validate_list_string):
    return Row(title, name, section, LIST, flags, meta, default, of)


def unflagged(title, name, section, default, of, meta=None):
    return Row(title, name, section, TEXT, None, meta, default, of)


def hook(title, name, arity, section=HOOKS):
    of = check.validate_post_request if name == "post_request" else check.validate_callable(arity)
    return Row(title, name, section, HOOK, None, None, hooks.default(title, name, arity), of)


ROWS = (
    text("ConfigFile", "config", FILE, "-c --config", "CONFIG", "./gunicorn.conf.py"),
    unflagged("WSGIApp", "wsgi_app", FILE, None, check.validate_string, "STRING"),
    several("Bind", "bind", SOCKET, "-b --bind", "ADDRESS", address()),
    number("Backlog", "backlog", SOCKET, "--backlog", 2048),
    number("Workers", "workers", WORKER, "-w --workers",
           int(os.environ.get("WEB_CONCURRENCY") or 1)),
    text("WorkerClass", "worker_class", WORKER, "-k --worker-class", "STRING", "sync",
         check.validate_class),
    number("WorkerThreads", "threads", WORKER, "--threads", 1),
    number("WorkerConnections", "worker_connections", WORKER, "--worker-connections", 1000),
    number("MaxRequests", "max_requests", WORKER, "--max-requests", 0),
    number("MaxRequestsJitter", "max_requests_jitter", WORKER, "--max-requests-jitter", 0),
    number("Timeout", "timeout", WORKER, "-t --timeout", 30),
    number("GracefulTimeout", "graceful_timeout", WORKER, "--graceful-timeout", 30),
    number("Keepalive", "keepalive", WORKER, "--keep-alive", 2),
    number("LimitRequestLine", "limit_request_line", SECURITY, "--limit-request-line", 4094),
    number("LimitRequestFields", "limit_request_fields", SECURITY, "--limit-request-fields", 100),
    number("LimitRequestFieldSize", "limit_request_field_size", SECURITY,
           "--limit-request-field_size", 8190),
    switch("Reload", "reload", DEBUG, "--reload"),
    text("ReloadEngine", "reload_engine", DEBUG, "--reload-engine", "STRING", "auto",
         check.validate_reload_engine),
    several("ReloadExtraFiles", "reload_extra_files", DEBUG, "--reload-extra-file", "FILES", [],
            check.validate_list_of_files_or_patterns),
    switch("Spew", "spew", DEBUG, "--spew"),
    switch("ConfigCheck", "check_config", DEBUG, "--check-config"),
    switch("PrintConfig", "print_config", DEBUG, "--print-config"),
    switch("PreloadApp", "preload_app", MECHANICS, "--preload"),
    Row("Sendfile", "sendfile", MECHANICS, OFF, "--no-sendfile", None, None, check.validate_bool),
    switch("ReusePort", "reuse_port", MECHANICS, "--reuse-port"),
    text("Chdir", "chdir", MECHANICS, "--chdir", None, util.getcwd(), check.validate_chdir),
    switch("Daemon", "daemon", MECHANICS, "-D --daemon"),
    several("Env", "raw_env", MECHANICS, "-e --env", "ENV", []),
    text("Pidfile", "pidfile", MECHANICS, "-p --pid", "FILE", None),
    text("WorkerTmpDir", "worker_tmp_dir", MECHANICS, "--worker-tmp-dir", "DIR", None),
    text("User", "user", MECHANICS, "-u --user", "USER", os.geteuid(), check.validate_user),
    text("Group", "group", MECHANICS, "-g --group", "GROUP", os.getegid(), check.validate_group),
    octal("Umask", "umask", MECHANICS, "-m --umask", 0),
    switch("Initgroups", "initgroups", MECHANICS, "--initgroups"),
    unflagged("TmpUploadDir", "tmp_upload_dir", MECHANICS, None, check.validate_string, "DIR"),
    unflagged("SecureSchemeHeader", "secure_scheme_headers", MECHANICS, SCHEME_FIELDS,
              check.validate_dict),
    text("ForwardedAllowIPS", "forwarded_allow_ips", MECHANICS, "--forwarded-allow-ips", "STRING",
         os.environ.get("FORWARDED_ALLOW_IPS", LOCAL), check.validate_string_to_addr_list),
    text("AccessLog", "accesslog", LOG, "--access-logfile", "FILE", None),
    switch("DisableRedirectAccessToSyslog", "disable_redirect_access_to_syslog", LOG,
           "--disable-redirect-access-to-syslog"),
    text("AccessLogFormat", "access_log_format", LOG, "--access-logformat", "STRING",
         ACCESS_FORMAT),
    text("ErrorLog", "errorlog", LOG, "--error-logfile --log-file", "FILE", "-"),
    text("Loglevel", "loglevel", LOG, "--log-level", "LEVEL", "info"),
    switch("CaptureOutput", "capture_output", LOG, "--capture-output"),
    text("LoggerClass", "logger_class", LOG, "--logger-class", "STRING",
         "gunicorn.glogging.Logger", check.validate_class),
    text("LogConfig", "logconfig", LOG, "--log-config", "FILE", None),
    unflagged("LogConfigDict", "logconfig_dict", LOG, {}, check.validate_dict),
    text("LogConfigJson", "logconfig_json", LOG, "--log-config-json", "FILE", None),
    text("SyslogTo", "syslog_addr", LOG, "--log-syslog-to", "SYSLOG_ADDR", "udp://localhost:514"),
    switch("Syslog", "syslog", LOG, "--log-syslog"),
    text("SyslogPrefix", "syslog_prefix", LOG, "--log-syslog-prefix", "SYSLOG_PREFIX", None),
    text("SyslogFacility", "syslog_facility", LOG, "--log-syslog-facility", "SYSLOG_FACILITY",
         "user"),
    switch("EnableStdioInheritance", "enable_stdio_inheritance", LOG,
           "-R --enable-stdio-inheritance"),
    text("StatsdHost", "statsd_host", LOG, "--statsd-host", "STATSD_ADDR", None,
         check.validate_statsd_address),
    text("DogstatsdTags", "dogstatsd_tags", LOG, "--dogstatsd-tags", "DOGSTATSD_TAGS", ""),
    text("StatsdPrefix", "statsd_prefix", LOG, "--statsd-prefix", "STATSD_PREFIX", ""),
    switch("BacklogMetric", "enable_backlog_metric", LOG, "--enable-backlog-metric"),
    text("Procname", "proc_name", NAMING, "-n --name", "STRING", None),
    unflagged("DefaultProcName", "default_proc_name", NAMING, "gunicorn", check.validate_string),
    text("PythonPath", "pythonpath", MECHANICS, "--pythonpath", "STRING", None),
    text("Paste", "paste", MECHANICS, "--paste --paster", "STRING", None),
    hook("OnStarting", "on_starting", 1),
    hook("OnReload", "on_reload", 1),
    hook("WhenReady", "when_ready", 1),
    hook("Prefork", "pre_fork", 2),
    hook("Postfork", "post_fork", 2),
    hook("PostWorkerInit", "post_worker_init", 1),
    hook("WorkerInt", "worker_int", 1),
    hook("WorkerAbort", "worker_abort", 1),
    hook("PreExec", "pre_exec", 1),
    hook("PreRequest", "pre_request", 2),
    hook("PostRequest", "post_request", 4),
    hook("ChildExit", "child_exit", 2),
    hook("WorkerExit", "worker_exit", 2),
    hook("NumWorkersChanged", "nworkers_changed", 3),
    hook("OnExit", "on_exit", 1),
    hook("NewSSLContext", "ssl_context", 2),
    Row("ProxyProtocol", "proxy_protocol", MECHANICS, MODE, "--proxy-protocol", "MODE", "off",
        check.validate_proxy_protocol),
    text("ProxyAllowFrom", "proxy_allow_ips", MECHANICS, "--proxy-allow-from", None, LOCAL,
         check.validate_string_to_addr_list),
    text("Protocol", "protocol", MECHANICS, "--protocol", "STRING", "http"),
    text("UWSGIAllowFrom", "uwsgi_allow_ips", MECHANICS, "--uwsgi-allow-from", None, LOCAL,
         check.validate_string_to_addr_list),
    text("KeyFile", "keyfile", SSL, "--keyfile", "FILE", None),
    text("CertFile", "certfile", SSL, "--certfile", "FILE", None),
    text("SSLVersion", "ssl_version", SSL, "--ssl-version", None, ssl_word("PROTOCOL_TLS"),
         check.validate_ssl_version),
    text("CertReqs", "cert_reqs", SSL, "--cert-reqs", None, ssl_word("CERT_NONE"),
         check.validate_pos_int),
    text("CACerts", "ca_certs", SSL, "--ca-certs", "FILE", None),
    switch("SuppressRaggedEOFs", "suppress_ragged_eofs", SSL, "--suppress-ragged-eofs", True),
    switch("DoHandshakeOnConnect", "do_handshake_on_connect", SSL, "--do-handshake-on-connect"),
    text("Ciphers", "ciphers", SSL, "--ciphers", None, None),
    text("HTTPProtocols", "http_protocols", HTTP2, "--http-protocols", "STRING", "h1",
         check.validate_http_protocols),
    text("HTTP2Cleartext", "http2_cleartext", HTTP2, "--http2-cleartext", "STRING", "off",
         check.validate_http2_cleartext),
    number("HTTP2MaxConcurrentStreams", "http2_max_concurrent_streams", HTTP2,
           "--http2-max-concurrent-streams", 100, check.validate_http2_stream_limit),
    number("HTTP2InitialWindowSize", "http2_initial_window_size", HTTP2,
           "--http2-initial-window-size", 65535, check.validate_http2_window_size),
    number("HTTP2MaxFrameSize", "http2_max_frame_size", HTTP2, "--http2-max-frame-size", 16384,
           check.validate_http2_frame_size),
    number("HTTP2MaxHeaderListSize", "http2_max_header_list_size", HTTP2,
           "--http2-max-header-list-size", 65536),
    several("PasteGlobalConf", "raw_paste_global_conf", MECHANICS, "--paste-global", "CONF", []),
    switch("PermitObsoleteFolding", "permit_obsolete_folding", MECHANICS,
           "--permit-obsolete-folding"),
    switch("StripHeaderSpaces", "strip_header_spaces", MECHANICS, "--strip-header-spaces"),
    switch("PermitUnconventionalHTTPMethod", "permit_unconventional_http_method", MECHANICS,
           "--permit-unconventional-http-method"),
    switch("PermitUnconventionalHTTPVersion", "permit_unconventional_http_version", MECHANICS,
           "--permit-unconventional-http-version"),
    switch("CasefoldHTTPMethod", "casefold_http_method", MECHANICS, "--casefold-http-method"),
    text("ForwarderHeaders", "forwarder_headers", MECHANICS, "--forwarder-headers", None,
         "SCRIPT_NAME,PATH_INFO", check.validate_string_to_list),
    text("HeaderMap", "header_map", MECHANICS, "--header-map", None, "drop",
         check.validate_header_map_behaviour),
    text("ASGILoop", "asgi_loop", WORKER, "--asgi-loop", "STRING", "auto",
         check.validate_asgi_loop),
    text("ASGILifespan", "asgi_lifespan", WORKER, "--asgi-lifespan", "STRING", "auto",
         check.validate_asgi_lifespan),
    number("ASGIDisconnectGracePeriod", "asgi_disconnect_grace_period", WORKER,
           "--asgi-disconnect-grace-period", 3),
    number("WebSocketMaxMessageSize", "websocket_max_message_size", WORKER,
           "--websocket-max-message-size", 16777216),
    text("HttpParser", "http_parser", WORKER, "--http-parser", "STRING", "auto",
         check.validate_http_parser),
    text("RootPath", "root_path", MECHANICS, "--root-path", "STRING", ""),
    several("DirtyApps", "dirty_apps", DIRTY, "--dirty-app", "STRING", []),
    number("DirtyWorkers", "dirty_workers", DIRTY, "--dirty-workers", 0),
    number("DirtyTimeout", "dirty_timeout", DIRTY, "--dirty-timeout", 300),
    number("DirtyThreads", "dirty_threads", DIRTY, "--dirty-threads", 1),
    number("DirtyGracefulTimeout", "dirty_graceful_timeout", DIRTY, "--dirty-graceful-timeout",
           30),
    hook("OnDirtyStarting", "on_dirty_starting", 1, DIRTY_HOOKS),
    hook("DirtyPostFork", "dirty_post_fork", 2, DIRTY_HOOKS),
    hook("DirtyWorkerInit", "dirty_worker_init", 1, DIRTY_HOOKS),
    hook("DirtyWorkerExit", "dirty_worker_exit", 2, DIRTY_HOOKS),
    text("ControlSocket", "control_socket", CONTROL, "--control-socket", "PATH", control_path()),
    octal("ControlSocketMode", "control_socket_mode", CONTROL, "--control-socket-mode", 0o600),
    switch("ControlSocketDisable", "control_socket_disable", CONTROL, "--no-control-socket"),
)
