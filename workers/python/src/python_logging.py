"""Logs through Python's `logging`, for those who have configured it.

The logger is an object of gunicorn's class, or of the class that the settings name. Records go to
`gunicorn.error`, requests to `gunicorn.access`.
"""

import datetime
import logging
import threading

from gunicorn import glogging, util

DEFAULT = "gunicorn.glogging.Logger"

# The methods of a logger object by the level of their records.
METHODS = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}

VERSIONS = {"HTTP/1.0": (1, 0), "HTTP/1.1": (1, 1)}


def make_config(values, app):
    """Settings of gunicorn with our values, where no configuration file has made some."""
    from gunicorn.config import Config

    cfg = Config(prog="monoceros")
    if app is not None:
        cfg.set("default_proc_name", app)
    for name, words in values:
        setting = cfg.settings.get(name)
        if setting is None:
            continue
        if isinstance(setting.default, list):
            value = words
        elif isinstance(setting.default, dict):
            value = dict(word.split("=", 1) for word in words)
        else:
            value = ",".join(words)
        try:
            cfg.set(name, value)
        except Exception:
            # What our settings allow beyond gunicorn's means nothing to a logger.
            continue
    return cfg


def find_class(cfg):
    """The class of the logger. That for statsd is left out: the server itself sends its figures."""
    given = cfg.settings["logger_class"].get()
    if given in (DEFAULT, "simple"):
        return glogging.Logger
    found = util.load_class(given, default=DEFAULT, section="gunicorn.loggers")
    if hasattr(found, "install"):
        found.install()
    return found


class Request:
    """A request, as a logger gets it."""

    def __init__(self, method, uri, path, query, protocol, headers, scheme, client):
        self.method = method
        self.uri = uri
        self.path = path
        self.query = query
        self.fragment = ""
        self.version = VERSIONS.get(protocol, (1, 1))
        self.headers = headers
        self.trailers = []
        self.scheme = scheme
        self.peer_addr = self.remote_addr = client


class Response:
    """A response that was sent, as a logger gets it."""

    def __init__(self, status, headers, sent):
        self.status = status
        self.status_code = int(status[:3])
        self.headers = headers
        self.headers_sent = True
        self.sent = sent


def make_environ(request, path, protocol, client, variables):
    """What a logger needs of the environment of a request that the application has not got."""
    environ = {
        "REQUEST_METHOD": request.method,
        "RAW_URI": request.uri,
        "PATH_INFO": path,
        "QUERY_STRING": request.query,
        "SERVER_PROTOCOL": protocol,
        "wsgi.url_scheme": request.scheme,
    }
    if client is not None:
        environ["REMOTE_ADDR"] = client
    for name, value in request.headers:
        key = name.replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = "HTTP_" + key
        environ[key] = environ[key] + "," + value if key in environ else value
    environ.update(variables)
    return environ


class PythonLog:
    """The logger of this process, and what it is given."""

    def __init__(self, cfg):
        self.logger = find_class(cfg)(cfg)
        self._look(cfg)

    def set_up(self, cfg):
        """Configures the logger again: the settings were read again."""
        found = find_class(cfg)
        if type(self.logger) is found and hasattr(found, "setup"):
            self.logger.setup(cfg)
        else:
            self.logger = found(cfg)
        self._look(cfg)

    def make_log(self, _cfg):
        """The logger, for the objects of hooks."""
        return self.logger

    def _look(self, cfg):
        own, base = type(self.logger), glogging.Logger
        self.logger_level = cfg.loglevel.upper()
        self.error_log = logging.getLogger("gunicorn.error")
        self.access_log = logging.getLogger("gunicorn.access")
        # Methods of the user's: a record goes through them.
        self.methods = {
            level: getattr(self.logger, name)
            for level, name in METHODS.items()
            if getattr(own, name, None) not in (None, getattr(base, name))
        }
        # The method of the base writes nothing while the logger for requests is off.
        self.is_plain = getattr(own, "access", None) is base.access
        self.has_access = not self.is_plain or self._is_asked_for(cfg)

    def _is_asked_for(self, cfg):
        names = "accesslog", "logconfig", "logconfig_dict", "logconfig_json"
        to_syslog = cfg.syslog and not cfg.disable_redirect_access_to_syslog
        return bool(to_syslog or any(getattr(cfg, name, None) for name in names))

    def level(self):
        """The lowest level that is written."""
        if not isinstance(self.logger, glogging.Logger):
            return logging.getLevelName(self.logger_level)
        return 100 if self.error_log.disabled else self.error_log.getEffectiveLevel()

    def set_level(self, name):
        """Writes records from this level up."""
        self.error_log.setLevel(name)

    def write(self, level, text, traceback, time, facts, pid):
        """Logs a record of the server. `time` is in seconds; `facts` are attributes of the record;
        `pid` is that of its process, None for this one.
        """
        method = self.methods.get(level)
        if method is not None:
            method(text if traceback is None else text + "\n" + traceback)
            return
        log = self.error_log
        if not log.isEnabledFor(level):
            return
        record = log.makeRecord(log.name, level, "monoceros", 0, text, (), None, None, facts)
        record.relativeCreated += (time - record.created) * 1000
        record.created, record.msecs = time, time % 1 * 1000
        record.exc_text = traceback
        if pid is not None:
            record.process = pid
        log.handle(record)

    def write_exception(self, text, error, facts):
        """Logs an exception of the application, on the thread that has it."""
        details = type(error), error, error.__traceback__
        self.logger.exception(text, exc_info=details, extra=facts)

    def write_request(self, response, request, environ, client, variables, took, hooked):
        """Logs a request. `environ` is that of the application; None if it has not got it."""
        if self.is_plain and not self.access_log.isEnabledFor(logging.INFO):
            return
        method, uri, path, decoded, query, protocol, headers, scheme = request
        request = hooked
        if hooked is None:
            request = Request(method, uri, path, query, protocol, headers, scheme, client or "")
        if environ is None:
            environ = make_environ(request, decoded, protocol, client, variables)
        took = datetime.timedelta(microseconds=took)
        self.logger.access(Response(*response), request, environ, took)

    def reopen(self):
        """Opens the files of handlers again."""
        self.logger.reopen_files()

    def introduce_thread(self):
        """Names the thread that logs what other threads have queued."""
        threading.current_thread().name = "monoceros-log"
