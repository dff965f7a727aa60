"""Runs a configuration file in Python, and holds the settings that result.

The settings are kept by `gunicorn.config.Config`: the class of the gunicorn that is
installed beside the application, or of the server's own package with this name. So the
file is checked as gunicorn checks it, and hooks find in `cfg` what they expect.
"""

import importlib
import os
import sys
import traceback

MODULE = "__config__"
HOOKS = "Server Hooks"
# The exit code of a process that SIGINT has ended.
INTERRUPTED = 128 + 2
# Settings whose values are looked up on the machine.
OF_THE_MACHINE = ("chdir", "group", "reload_extra_files", "user")
# Values of these types may be meant for a setting.
PLAIN = (str, int, float, list, tuple, dict, type(None))
# Names that are often written in place of a setting, beside those that differ in a letter.
MISTAKEN = {
    "access_log": "accesslog",
    "access_logfile": "accesslog",
    "accesslog_format": "access_log_format",
    "after_fork": "post_fork",
    "before_exec": "pre_exec",
    "before_fork": "pre_fork",
    "error_log": "errorlog",
    "error_logfile": "errorlog",
    "gid": "group",
    "log_file": "errorlog",
    "logfile": "errorlog",
    "name": "proc_name",
    "pid": "pidfile",
    "preload": "preload_app",
    "process_name": "proc_name",
    "uid": "user",
}


class ConfigFileError(Exception):
    """The file cannot be used: the text for the log, and the exit code of the server."""

    def __init__(self, text, code=1):
        super().__init__(text)
        self.code = code


class ConfigFile:
    """The configuration file of this process; without one, the settings alone."""

    def __init__(self):
        self.cfg = None
        # What was read last and is not in use yet: settings, and the names that the file sets.
        self._next = None
        # The same by generation, since a reload may fail after its settings were used.
        self._used = {}

    def read(self, path, module, arguments, as_written):
        """Runs the file. The settings that are in use stay until `apply`. `as_written`: users,
        groups and paths are reported as the file has them, also if they do not exist.

        Returns what the file sets: settings with their values as words, the hooks, the
        names that are no settings with those that are probably meant, and whether Python
        logs. Raises ConfigFileError.
        """
        # gunicorn itself has been imported before a directory of the project can be searched.
        from gunicorn.config import Config

        if self.cfg is None:
            # What the file, or a program that is run for it, has made of them stays.
            sys.argv[:] = arguments
        directory = os.getcwd()
        if self.cfg is not None:
            _take_environment_back(self.cfg)
        try:
            cfg = Config("%(prog)s [OPTIONS] [APP_MODULE]", prog=os.path.basename(sys.argv[0]))
            _enter(cfg.chdir)
            written = {} if as_written else None
            names = _fill(cfg, _run(path, module), written)
        finally:
            if self.cfg is not None:
                os.environ.update(_environment(self.cfg))
            os.chdir(directory)
        self._next = cfg, names[0]
        return _report(cfg, names, written or {})

    def apply(self, overrides, app, directory, generations):
        """Uses the settings of a generation, with these values in place of the file's: those that
        were read last, or those that it has used before. `generations` are its number and that of
        the generation that serves.

        Returns the names of the values that the class of the settings refuses.
        """
        generation, serving = generations
        used = self._used.get(generation) or self._next
        self._used = {known: it for known, it in self._used.items() if known >= serving}
        self._used[generation] = used
        cfg, known = used
        if app not in (None, cfg.wsgi_app) and "default_proc_name" not in known:
            cfg.set("default_proc_name", app)
        refused = [name for name, words in overrides if not _override(cfg, name, words)]
        if self.cfg is not None:
            _take_environment_back(self.cfg)
        self.cfg, self._next = cfg, None
        os.environ.update(_environment(cfg))
        _enter(directory)
        for path in (cfg.pythonpath or "").split(","):
            if path and os.path.abspath(path) not in sys.path:
                sys.path.insert(0, os.path.abspath(path))
        return refused

    def leave_hooks_out(self):
        """Replaces each hook with the one that gunicorn has by default."""
        for setting in self.cfg.settings.values():
            if setting.section == HOOKS:
                setting.value = type(setting).default

    def logs_in_python(self):
        """Whether logging of Python is configured for the server."""
        return logs_in_python(self.cfg)

    def show(self):
        """Prints each setting with its value, as gunicorn does."""
        print(self.cfg, flush=True)


def _enter(directory):
    os.chdir(directory)
    if directory not in sys.path:
        sys.path.insert(0, directory)


def _environment(cfg):
    """The variables of `raw_env`. The server refuses what is none, and prints it before."""
    try:
        return cfg.env
    except RuntimeError:
        return {}


def _take_environment_back(cfg):
    """Removes the variables of `raw_env`, or gives them the values that they had before."""
    for name in _environment(cfg):
        if name in cfg.env_orig:
            os.environ[name] = cfg.env_orig[name]
        else:
            os.environ.pop(name, None)


def _run(path, module):
    """Runs the file, or imports the module, and returns its final names."""
    if path is None and module is None:
        return {}
    try:
        if module is not None:
            return vars(importlib.import_module(module))
        if not os.path.exists(path):
            raise ConfigFileError("Error: %r doesn't exist" % path)
        return _run_file(path)
    except ConfigFileError:
        raise
    except SystemExit as error:
        raise _ended(path or module, error.code) from None
    except BaseException as error:
        if module is not None:
            text = "Error: %s\n%s" % (error, _traceback(error))
            if isinstance(error, ModuleNotFoundError) and error.name == module:
                text = "Error: %s" % error
        else:
            text = "Failed to read config file: %s\n%s" % (path, _traceback(error))
        code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
        raise ConfigFileError(text, code) from None


def _run_file(path):
    import importlib.util
    from importlib.machinery import SourceFileLoader, SourcelessFileLoader

    if os.path.splitext(path)[1] == ".pyc":
        loader = SourcelessFileLoader(MODULE, path)
    else:
        loader = SourceFileLoader(MODULE, path)
    spec = importlib.util.spec_from_file_location(MODULE, path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(MODULE)
    sys.modules[MODULE] = module
    try:
        if isinstance(loader, SourceFileLoader):
            # Always from the source: a cached file is taken for current if the source has
            # changed within the second, and one that root writes is in the way of others.
            code = loader.source_to_code(loader.get_data(path), module.__file__)
            exec(code, module.__dict__)
        else:
            spec.loader.exec_module(module)
    except BaseException:
        if before is not None:
            sys.modules[MODULE] = before
        raise
    return vars(module)


def _ended(name, code):
    """The file has called `sys.exit`: the server ends with its code."""
    if code is None or isinstance(code, int):
        return ConfigFileError("%s has called sys.exit(%s)" % (name, code or 0), code or 0)
    return ConfigFileError(str(code))


def _traceback(error):
    """The traceback from the first frame of the file on."""
    frames = error.__traceback__
    while frames is not None and _is_machinery(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames)).rstrip()


def _is_machinery(file):
    own = file == __file__ or file == _traceback.__code__.co_filename
    return own or file.startswith("<frozen importlib") or file.endswith("/importlib/__init__.py")


def _fill(cfg, namespace, written):
    """Sets what is a setting, and returns the names of those and of the others. `written` gets
    what is looked up on the machine, as it is written, if it is not None."""
    known, others = [], []
    for name, value in list(namespace.items()):
        if name not in cfg.settings:
            others.append((name, value))
            continue
        known.append(name)
        if name == "umask" and isinstance(value, str) and value.isdigit():
            # As on the command line: "022" is octal.
            value = int(value, 8 if value.startswith("0") else 10)
        is_kept = name in OF_THE_MACHINE and isinstance(value, (str, list))
        if written is not None and is_kept:
            written[name] = value
            continue
        try:
            cfg.set(name, value)
        except Exception as error:
            text = "Invalid value for %s: %s\n\nError: %s" % (name, _shown(value), error)
            raise ConfigFileError(text) from None
    return known, others


def _shown(value):
    try:
        return str(value)
    except Exception:
        return object.__repr__(value)


def _report(cfg, names, written):
    known, others = names
    hooks = [name for name in known if _is_hook(cfg.settings[name])]
    values = []
    for name in known:
        value = written.get(name, cfg.settings[name].get())
        is_reported = name not in hooks and name != "config" and value is not None
        if is_reported and (not isinstance(value, dict) or name == "secure_scheme_headers"):
            values.append((name, [_encode(word) for word in words(name, value)]))
    meant = [(name, _meant(cfg, name, value)) for name, value in others]
    unknown = [(name, setting) for name, setting in meant if setting is not None]
    return values, hooks, unknown, logs_in_python(cfg)


def _is_hook(setting):
    """Whether it is a function that the server calls. It refuses `ssl_context`."""
    return setting.section == HOOKS and setting.name != "ssl_context"


def logs_in_python(cfg):
    """Whether logging of Python is configured for the server."""
    configured = (getattr(cfg, name, None) for name in ("logconfig", "logconfig_dict", "logconfig_json"))
    if any(configured):
        return True
    logger = cfg.settings["logger_class"]
    return logger.get() not in (logger.default, "simple")


def words(name, value):
    """The value of a setting as the words of a command line."""
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, int):
        # A number by itself could be taken for an octal one.
        return [oct(value) if name == "umask" else str(int(value))]
    if name == "statsd_host" and isinstance(value, tuple):
        host, port = value
        return ["[%s]:%s" % (host, port) if ":" in host else "%s:%s" % (host, port)]
    if name == "statsd_host":
        return ["unix://%s" % value]
    if isinstance(value, dict):
        return ["%s=%s" % item for item in value.items()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_word(item) for item in value]
    return [_word(value)]


def _word(value):
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if callable(value) and hasattr(value, "__qualname__"):
        return "%s.%s" % (value.__module__, value.__qualname__)
    return str(value)


def _encode(word):
    """The bytes of a word: names of files may have any (PEP 383)."""
    try:
        return word.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return word.encode("utf-8", "backslashreplace")


def _meant(cfg, name, value):
    """The setting that is probably meant by a name; None if there is none."""
    is_hook = callable(value) and not isinstance(value, type)
    if name.startswith("_") or not (is_hook or isinstance(value, PLAIN)):
        return None
    settings = [it for it in cfg.settings if _is_hook(cfg.settings[it]) == is_hook]
    if MISTAKEN.get(name) in settings:
        return MISTAKEN[name]

    def squeezed(text):
        return text.lower().replace("_", "")

    settings = {squeezed(it): it for it in settings}
    if squeezed(name) in settings:
        return settings[squeezed(name)]
    from difflib import get_close_matches

    close = get_close_matches(squeezed(name), settings, 1, 0.88)
    return settings[close[0]] if close else None


def _override(cfg, name, words):
    """Sets a value from the environment or the command line; returns whether that worked."""
    setting = cfg.settings.get(name)
    if setting is None:
        return False
    if isinstance(setting.default, dict):
        value = dict(word.split("=", 1) for word in words if "=" in word)
    elif isinstance(setting.default, list) or setting.action == "append":
        value = list(words)
    else:
        value = ",".join(words)
    try:
        cfg.set(name, value)
    except Exception:
        return False
    return True
