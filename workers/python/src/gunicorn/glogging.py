"""The logger of gunicorn: a base class for those of applications, and its configuration."""

import logging
import logging.config
import os
import socket
import sys
import threading
import time

from gunicorn import util

# Records of a logger without handlers are dropped in silence.
logging.Logger.manager.emittedNoHandlerWarning = True

SYSLOG_FACILITIES = {
    name: number
    for number, name in enumerate(
        "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp".split()
    )
}
SYSLOG_FACILITIES["security"] = SYSLOG_FACILITIES["auth"]
SYSLOG_FACILITIES.update(("local%d" % number, 16 + number) for number in range(8))

LINE = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
DATE = "[%Y-%m-%d %H:%M:%S %z]"


def logger_entry(name, handler):
    return {"level": "INFO", "handlers": [handler], "propagate": True, "qualname": name}


def handler_entry(stream):
    place = "ext://sys." + stream
    return {"class": "logging.StreamHandler", "formatter": "generic", "stream": place}


CONFIG_DEFAULTS = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": "INFO", "handlers": ["console"]},
    "loggers": {
        "gunicorn.error": logger_entry("gunicorn.error", "error_console"),
        "gunicorn.access": logger_entry("gunicorn.access", "console"),
    },
    "handlers": {
        "console": handler_entry("stdout"),
        "error_console": handler_entry("stderr"),
    },
    "formatters": {
        "generic": {"format": LINE, "datefmt": DATE, "class": "logging.Formatter"},
    },
}


def loggers():
    """All loggers that have been asked for."""
    return [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)]


class SafeAtoms(dict):
    """The atoms of a record: quotes are escaped, names in braces have no case, and what is
    missing is a hyphen.
    """

    def __init__(self, atoms):
        super().__init__(atoms)
        for name, value in atoms.items():
            if isinstance(value, str):
                self[name] = value.replace('"', '\\"')

    def __getitem__(self, name):
        return self.get(name.lower() if name.startswith("{") else name, "-")


def parse_syslog_address(addr):
    """The type of socket, and the address: a path, or a host with a port."""
    scheme, divider, rest = addr.partition("://")
    if divider and scheme == "unix":
        path, _, kind = rest.partition("#")
        return (socket.SOCK_DGRAM if kind == "dgram" else None, path)
    kinds = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}
    if not divider or scheme not in kinds:
        raise RuntimeError("invalid syslog address")
    if rest.startswith("[") and "]" in rest:
        host, _, port = rest[1:].partition("]")
        divider, port = port[:1] == ":", port[1:]
    else:
        host, divider, port = rest.partition(":")
    if divider and not port.isdigit():
        raise RuntimeError("%r is not a valid port number." % port)
    host = host.lower() if rest else "localhost"
    return (kinds[scheme], (host, int(port) if divider else 514))


class Logger:
    """Error records go to the logger `gunicorn.error`, access records to `gunicorn.access`."""

    LOG_LEVELS = {
        name: getattr(logging, name.upper())
        for name in ("critical", "error", "warning", "info", "debug")
    }
    loglevel = logging.INFO
    error_fmt = LINE
    datefmt = DATE
    access_fmt = "%(message)s"
    syslog_fmt = "[%(process)d] %(message)s"
    atoms_wrapper_class = SafeAtoms

    def __init__(self, cfg):
        self.error_log = logging.getLogger("gunicorn.error")
        self.access_log = logging.getLogger("gunicorn.access")
        self.error_log.propagate = self.access_log.propagate = False
        self.error_handlers = []
        self.access_handlers = []
        self.logfile = None
        self.lock = threading.Lock()
        self.cfg = cfg
        self.setup(cfg)

    def setup(self, cfg):
        """Makes the handlers of these settings in place of those made before."""
        self.cfg = cfg
        self.loglevel = self.LOG_LEVELS.get(cfg.loglevel.lower(), logging.INFO)
        self.error_log.setLevel(self.loglevel)
        self.access_log.setLevel(logging.INFO)
        for log in (self.error_log, self.access_log):
            log.handlers[:] = (it for it in log.handlers if not is_own(it))
        if cfg.capture_output and cfg.errorlog != "-":
            self.capture()
        error_form = logging.Formatter(self.error_fmt, self.datefmt)
        self._set_handler(self.error_log, cfg.errorlog, error_form)
        if cfg.accesslog is not None:
            access_form = logging.Formatter(self.access_fmt)
            self._set_handler(self.access_log, cfg.accesslog, access_form, sys.stdout)
        if cfg.syslog:
            self._set_syslog_handler(self.error_log, cfg, self.syslog_fmt, "error")
        if cfg.syslog and not cfg.disable_redirect_access_to_syslog:
            self._set_syslog_handler(self.access_log, cfg, self.syslog_fmt, "access")
        configure(cfg)

    def capture(self):
        """Makes the error log's file standard output and standard error."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        with self.lock:
            if self.logfile is not None:
                self.logfile.close()
            self.logfile = open(self.cfg.errorlog, "a+")
            for stream in (sys.stdout, sys.stderr):
                os.dup2(self.logfile.fileno(), stream.fileno())

    def critical(self, msg, *args, **kwargs):
        self.error_log.critical(msg, *args, **kwargs)

    def error(self, msg, *args, **kwargs):
        self.error_log.error(msg, *args, **kwargs)

    def warning(self, msg, *args, **kwargs):
        self.error_log.warning(msg, *args, **kwargs)

    def info(self, msg, *args, **kwargs):
        self.error_log.info(msg, *args, **kwargs)

    def debug(self, msg, *args, **kwargs):
        self.error_log.debug(msg, *args, **kwargs)

    def exception(self, msg, *args, **kwargs):
        self.error_log.exception(msg, *args, **kwargs)

    def log(self, lvl, msg, *args, **kwargs):
        if isinstance(lvl, str):
            lvl = self.LOG_LEVELS.get(lvl.lower(), logging.INFO)
        self.error_log.log(lvl, msg, *args, **kwargs)

    def now(self):
        """The time as Apache's Common Log Format has it."""
        return time.strftime("[%d/%b/%Y:%H:%M:%S %z]")

    def atoms(self, resp, req, environ, request_time):
        """What `access_log_format` can name, of one request."""
        status, sent = resp.status, getattr(resp, "sent", None)
        micros = request_time.seconds * 1000000 + request_time.microseconds
        line = [environ[name] for name in ("REQUEST_METHOD", "RAW_URI", "SERVER_PROTOCOL")]
        found = {
            "h": environ.get("REMOTE_ADDR", "-"),
            "l": "-",
            "u": self._get_user(environ) or "-",
            "t": self.now(),
            "r": "%s %s %s" % tuple(line),
            "s": status.split(None, 1)[0] if isinstance(status, str) else status,
            "m": environ.get("REQUEST_METHOD"),
            "U": environ.get("PATH_INFO"),
            "q": environ.get("QUERY_STRING"),
            "H": environ.get("SERVER_PROTOCOL"),
            "b": "-" if sent is None else str(sent),
            "B": sent,
            "f": environ.get("HTTP_REFERER", "-"),
            "a": environ.get("HTTP_USER_AGENT", "-"),
            "T": request_time.seconds,
            "D": micros,
            "M": micros // 1000,
            "L": "%d.%06d" % (request_time.seconds, request_time.microseconds),
            "p": "<%s>" % os.getpid(),
        }
        requested = getattr(req, "headers", req)
        for kind, fields in (("i", requested), ("o", resp.headers), ("e", environ)):
            pairs = fields.items() if hasattr(fields, "items") else fields
            found.update(("{%s}%s" % (name.lower(), kind), value) for name, value in pairs)
        return found

    @property
    def access_log_enabled(self):
        cfg = self.cfg
        to_syslog = cfg.syslog and not cfg.disable_redirect_access_to_syslog
        configured = cfg.logconfig or cfg.logconfig_dict or cfg.logconfig_json
        return bool(cfg.accesslog or configured or to_syslog)

    def access(self, resp, req, environ, request_time):
        """Writes the access record of a request."""
        if not self.access_log_enabled:
            return
        atoms = self.atoms_wrapper_class(self.atoms(resp, req, environ, request_time))
        try:
            self.access_log.info(self.cfg.access_log_format, atoms)
        except Exception:
            import traceback

            self.error(traceback.format_exc())

    def reopen_files(self):
        """Opens all log files again, by their names."""
        if self.cfg.capture_output and self.cfg.errorlog != "-":
            self.capture()
        for handler in file_handlers():
            with handler.lock:
                if handler.stream:
                    handler.close()
                    handler.stream = handler._open()

    def close_on_exec(self):
        for handler in file_handlers():
            with handler.lock:
                if handler.stream:
                    util.close_on_exec(handler.stream.fileno())

    def _get_gunicorn_handler(self, log):
        return next(filter(is_own, log.handlers), None)

    def _set_handler(self, log, output, fmt, stream=None):
        before = self._get_gunicorn_handler(log)
        if before:
            log.handlers.remove(before)
        if output is None:
            return
        if output == "-":
            handler = logging.StreamHandler(stream)
        else:
            util.check_is_writable(output)
            handler = logging.FileHandler(output)
            self.give_file(handler.baseFilename)
        add_handler(log, handler, fmt)

    def give_file(self, path):
        """Makes the workers' user the owner of a log file, so that they can reopen it."""
        try:
            os.chown(path, self.cfg.user, self.cfg.group)
        except OSError:
            # Not the owner, or a device.
            pass

    def _set_syslog_handler(self, log, cfg, fmt, name):
        import logging.handlers

        prefix = cfg.syslog_prefix or cfg.proc_name.replace(":", ".")
        try:
            facility = SYSLOG_FACILITIES[cfg.syslog_facility.lower()]
        except KeyError as error:
            raise RuntimeError("unknown facility name") from error
        kind, address = parse_syslog_address(cfg.syslog_addr)
        handler = logging.handlers.SysLogHandler(address, facility, kind)
        add_handler(log, handler, logging.Formatter("gunicorn.%s.%s: %s" % (prefix, name, fmt)))

    def _get_user(self, environ):
        """The user of HTTP's Basic authentication."""
        import base64

        scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if not scheme.lower().startswith("basic") or not token:
            return None
        try:
            return base64.b64decode(token.strip()).partition(b":")[0].decode()
        except ValueError as error:
            self.debug("Couldn't get username: %s", error)
            return None


def is_own(handler):
    return getattr(handler, "_gunicorn", False)


def add_handler(log, handler, form):
    handler.setFormatter(form)
    handler._gunicorn = True
    log.addHandler(handler)


def file_handlers():
    handlers = (handler for log in loggers() for handler in log.handlers)
    return [it for it in handlers if isinstance(it, logging.FileHandler)]


def configure(cfg):
    """Applies the settings `logconfig_dict`, `logconfig_json` and `logconfig`: the first one."""
    if cfg.logconfig_dict:
        configure_with(lambda: cfg.logconfig_dict)
    elif cfg.logconfig_json:
        if os.path.exists(cfg.logconfig_json):
            configure_with(lambda: read_json(cfg.logconfig_json))
    elif cfg.logconfig:
        if not os.path.exists(cfg.logconfig):
            raise RuntimeError("Error: log config '%s' not found" % cfg.logconfig)
        place = {"__file__": cfg.logconfig, "here": os.path.dirname(cfg.logconfig)}
        logging.config.fileConfig(
            cfg.logconfig, defaults={**CONFIG_DEFAULTS, **place}, disable_existing_loggers=False
        )


def read_json(path):
    import json

    with open(path, encoding="utf-8") as file:
        return json.load(file)


def configure_with(read):
    try:
        logging.config.dictConfig({**CONFIG_DEFAULTS, **read()})
    except (AttributeError, ImportError, ValueError, TypeError) as error:
        raise RuntimeError(str(error)) from error
