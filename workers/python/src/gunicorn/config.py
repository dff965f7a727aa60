"""The settings of gunicorn as objects: `Config`, a class for each setting, and their checks."""

import copy
import os
import re
import sys

from gunicorn import __version__, _rows, util
from gunicorn._checks import *  # noqa: F403: the names are public here
from gunicorn._checks import RELOAD_ENGINES as reloader_engines  # noqa: F401, N811
from gunicorn.errors import ConfigError

KNOWN_SETTINGS = []
PLATFORM = sys.platform


def auto_int(text):
    """The number of an option's text; one that begins with 0 is octal."""
    return int(re.sub(r"^0(?=\d)", "0o", text), 0)


class Setting:
    """One setting with its value."""

    name = value = section = cli = validator = type = meta = action = None
    default = short = desc = nargs = const = None

    def __init__(self):
        if self.default is not None:
            self.set(self.default)

    def add_option(self, parser):
        """Adds the options that set it to an `argparse.ArgumentParser`."""
        if not self.cli:
            return
        words = {
            "dest": self.name,
            "action": self.action or "store",
            "default": None,
            "help": ("%s [%s]" % (self.short, self.default)).replace("%", "%%"),
        }
        if words["action"] == "store":
            words["type"] = self.type or str
        given = {"metavar": self.meta, "nargs": self.nargs, "const": self.const}
        words.update((word, value) for word, value in given.items() if value is not None)
        parser.add_argument(*self.cli, **words)

    def copy(self):
        return copy.copy(self)

    def get(self):
        return self.value

    def set(self, val):
        if not callable(self.validator):
            raise TypeError("Invalid validator: %s" % self.name)
        self.value = self.validator(val)

    def __lt__(self, other):
        return self.section == other.section and self.order < other.order

    def __repr__(self):
        kind = type(self)
        place = "%s.%s" % (kind.__module__, kind.__name__)
        return "<%s object at %x with value %r>" % (place, id(self), self.value)

    def __init_subclass__(cls, **words):
        """A subclass is known from its definition on, also that of a program."""
        super().__init_subclass__(**words)
        cls.order = len(KNOWN_SETTINGS)
        if "validator" in vars(cls):
            cls.validator = staticmethod(cls.validator)
        lines = (vars(cls).get("desc") or "").strip().splitlines()
        cls.short = lines[0].strip() if lines else ""
        KNOWN_SETTINGS.append(cls)


SHAPES = {
    _rows.NUMBER: {"type": int},
    _rows.OCTAL: {"type": staticmethod(auto_int)},
    _rows.SWITCH: {"action": "store_true"},
    _rows.LIST: {"action": "append"},
    _rows.OFF: {"action": "store_const", "const": False},
    _rows.MODE: {"nargs": "?", "const": "auto"},
    _rows.HOOK: {"type": callable},
    _rows.TEXT: {},
}


def setting_class(row):
    fields = {
        "__module__": __name__,
        "name": row.name,
        "section": row.section,
        "cli": row.flags and row.flags.split(),
        "meta": row.meta,
        "default": staticmethod(row.default) if row.shape == _rows.HOOK else row.default,
        "validator": row.check,
        "desc": "The setting %s of gunicorn." % row.name,
        **SHAPES[row.shape],
    }
    if row.shape == _rows.HOOK:
        fields[row.name] = staticmethod(row.default)
    return type(row.title, (Setting,), fields)


for _row in _rows.ROWS:
    globals()[_row.title] = setting_class(_row)
del _row


def make_settings(ignore=None):
    """A new set of all settings with their defaults, by their names."""
    made = (known() for known in KNOWN_SETTINGS)
    return {setting.name: setting for setting in made if setting.name not in (ignore or ())}


def get_default_config_file():
    path = os.path.join(os.path.abspath(os.getcwd()), "gunicorn.conf.py")
    return path if os.path.exists(path) else None


def pairs(texts, pattern):
    """A dictionary of texts `NAME=VALUE`."""
    found = {}
    for text in map(util.bytes_to_str, texts):
        name, *value = re.split(pattern, text, maxsplit=1)
        if not value:
            raise RuntimeError("environment setting %r invalid" % text)
        found[name] = value[0]
    return found


class Config:
    """The values of all settings: as attributes, and one by one in `settings`."""

    def __init__(self, usage=None, prog=None):
        self.settings = make_settings()
        self.usage = usage
        self.prog = prog or os.path.basename(sys.argv[0])
        self.env_orig = os.environ.copy()

    def __str__(self):
        width = max(map(len, self.settings))
        shown = ((name, self.settings[name].value) for name in sorted(self.settings))
        return "\n".join("%s = %s" % (name.ljust(width), text_of(value)) for name, value in shown)

    def __getattr__(self, name):
        if name == "settings":
            raise AttributeError()
        return self._setting(name).get()

    def __setattr__(self, name, value):
        if name != "settings" and name in self.settings:
            raise AttributeError("Invalid access!")
        super().__setattr__(name, value)

    def _setting(self, name):
        try:
            return self.settings[name]
        except KeyError:
            raise AttributeError("No configuration setting for: %s" % name) from None

    def set(self, name, value):
        self._setting(name).set(value)

    def validate(self):
        """Refuses values that do not go together."""
        if "h2" not in self.http_protocols:
            return
        import importlib.util

        if not importlib.util.find_spec("h2"):
            raise ConfigError(
                "http_protocols includes h2 but the h2 package is not installed. Install "
                "gunicorn[http2], or drop h2 from http_protocols."
            )
        if not self.is_ssl and self.http2_cleartext == "off":
            sys.stderr.write(
                "Warning: http_protocols includes h2 but there is no TLS and http2_cleartext "
                "is off, so HTTP/2 will never be negotiated.\n"
            )

    def get_cmd_args_from_env(self):
        import shlex

        return shlex.split(self.env_orig.get("GUNICORN_CMD_ARGS", ""))

    def parser(self):
        """The parser of gunicorn's command line."""
        import argparse

        parser = argparse.ArgumentParser(usage=self.usage, prog=self.prog)
        version = "%(prog)s (version " + __version__ + ")\n"
        parser.add_argument(
            "-v", "--version", action="version", default=argparse.SUPPRESS, version=version
        )
        parser.add_argument("args", nargs="*", help=argparse.SUPPRESS)
        for setting in sorted(self.settings.values()):
            setting.add_option(parser)
        return parser

    @property
    def worker_class_str(self):
        uri = self._worker_uri("gthread")
        return uri if isinstance(uri, str) else uri.__name__

    @property
    def worker_class(self):
        found = util.load_class(self._worker_uri("gunicorn.workers.gthread.ThreadWorker"))
        if hasattr(found, "setup"):
            found.setup()
        return found

    def _worker_uri(self, threaded):
        """The name or class of the workers; several threads make `sync` threaded."""
        uri = self.settings["worker_class"].get()
        is_sync = isinstance(uri, str) and (uri == "sync" or uri.endswith("SyncWorker"))
        return threaded if is_sync and self.threads > 1 else uri

    @property
    def address(self):
        return [util.parse_address(util.bytes_to_str(one)) for one in self.settings["bind"].get()]

    @property
    def uid(self):
        return self.settings["user"].get()

    @property
    def gid(self):
        return self.settings["group"].get()

    @property
    def proc_name(self):
        name = self.settings["proc_name"].get()
        return self.settings["default_proc_name"].get() if name is None else name

    @property
    def logger_class(self):
        own = "gunicorn.glogging.Logger"
        uri = self.settings["logger_class"].get()
        uri = own if uri == "simple" else uri
        if uri == own and self.settings["statsd_host"].get() is not None:
            uri = "gunicorn.instrument.statsd.Statsd"
        found = util.load_class(uri, default=own, section="gunicorn.loggers")
        if hasattr(found, "install"):
            found.install()
        return found

    @property
    def is_ssl(self):
        return self.certfile or self.keyfile

    @property
    def ssl_options(self):
        ssl = (it for it in self.settings.items() if it[1].section == _rows.SSL)
        return {name: setting.get() for name, setting in ssl}

    @property
    def env(self):
        return pairs(self.settings["raw_env"].get() or (), "=")

    @property
    def sendfile(self):
        if self.settings["sendfile"].get() is not None:
            return False
        return os.environ.get("SENDFILE", "yes").lower() in ("y", "1", "yes", "true")

    @property
    def reuse_port(self):
        return self.settings["reuse_port"].get()

    @property
    def paste_global_conf(self):
        raw = self.settings["raw_paste_global_conf"].get()
        if raw is None:
            return None
        found = pairs(raw, r"(?<!\\)=")
        return {a.replace("\\=", "="): b.replace("\\=", "=") for a, b in found.items()}


def text_of(value):
    """A value as `--print-config` shows it."""
    if callable(value):
        return "<%s()>" % getattr(value, "__qualname__", value)
    return format(value)
