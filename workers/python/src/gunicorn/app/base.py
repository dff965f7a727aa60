"""The base classes of programs that are servers by themselves."""

import importlib
import os
import sys
import traceback

from gunicorn import util
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config, get_default_config_file


class BaseApplication:
    """Settings that `load_config` sets, and the application that `load` returns."""

    def __init__(self, usage=None, prog=None):
        self.usage = usage
        self.prog = prog
        self.cfg = self.callable = self.logger = None
        self.do_load_config()

    def do_load_config(self):
        try:
            self.load_default_config()
            self.load_config()
            self.cfg.validate()
        except Exception as error:
            give_up("\nError: %s" % error)

    def load_default_config(self):
        self.cfg = Config(self.usage, prog=self.prog)

    def init(self, parser, opts, args):
        raise NotImplementedError

    def load(self):
        raise NotImplementedError

    def load_config(self):
        raise NotImplementedError

    def reload(self):
        self.do_load_config()

    def wsgi(self):
        if self.callable is None:
            self.callable = self.load()
        return self.callable

    def run(self):
        """Serves. The process ends with an error if that cannot be."""
        try:
            Arbiter(self).run()
        except RuntimeError as error:
            give_up("\nError: %s\n" % error)


class Application(BaseApplication):
    """Settings from a configuration file, the environment and the command line."""

    def chdir(self):
        os.chdir(self.cfg.chdir)
        if self.cfg.chdir not in sys.path:
            sys.path.insert(0, self.cfg.chdir)

    def get_config_from_filename(self, filename):
        """The names that a file has set; the process ends if the file fails."""
        if not os.path.exists(filename):
            raise RuntimeError("%r doesn't exist" % filename)
        try:
            return vars(run_file(filename))
        except Exception:
            failure = traceback.format_exc().rstrip()
            give_up("Failed to read config file: %s\n%s" % (filename, failure))

    def get_config_from_module_name(self, module_name):
        return vars(importlib.import_module(module_name))

    def load_config_from_module_name_or_filename(self, location):
        kind, divider, name = location.partition(":")
        if divider and kind == "python":
            found = self.get_config_from_module_name(name)
        else:
            found = self.get_config_from_filename(name if kind == "file" and divider else location)
        for name in [name for name in found if name in self.cfg.settings]:
            try:
                self.cfg.set(name.lower(), found[name])
            except Exception:
                print("Invalid value for %s: %s\n" % (name, found[name]), file=sys.stderr)
                raise
        return found

    def load_config_from_file(self, filename):
        return self.load_config_from_module_name_or_filename(location=filename)

    def load_config(self):
        parser = self.cfg.parser()
        given = parser.parse_args()
        own = self.init(parser, given, given.args)
        self.chdir()
        self.set_all(own or {})
        from_variable = parser.parse_args(self.cfg.get_cmd_args_from_env())
        file = given.config or from_variable.config or get_default_config_file()
        if file is not None:
            self.load_config_from_file(file)
        for options in (vars(from_variable), vars(given)):
            self.set_all({a: b for a, b in options.items() if b is not None and a != "args"})
        self.chdir()

    def set_all(self, values):
        for name, value in values.items():
            self.cfg.set(name.lower(), value)

    def run(self):
        """Serves, or only shows and checks the settings and the application."""
        if self.cfg.print_config:
            print(self.cfg)
        if self.cfg.print_config or self.cfg.check_config:
            self.check()
        super().run()

    def check(self):
        try:
            self.load()
        except Exception:
            give_up("\nError while loading the application:\n\n" + traceback.format_exc())
        sys.exit(0)


def run_file(filename):
    """Runs a configuration file as the module `__config__`, whatever its name ends with."""
    import importlib.machinery
    import importlib.util

    is_python = filename.endswith((".py", ".pyc"))
    if not is_python:
        util.warn("configuration file should have a valid Python extension.\n")
    loader = None if is_python else importlib.machinery.SourceFileLoader("__config__", filename)
    spec = importlib.util.spec_from_file_location("__config__", filename, loader=loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["__config__"] = module
    spec.loader.exec_module(module)
    return module


def give_up(text):
    print(text, file=sys.stderr, flush=True)
    sys.exit(1)
