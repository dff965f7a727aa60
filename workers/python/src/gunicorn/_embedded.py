"""A configuration file for programs that are servers by themselves: `BaseApplication.run()`.

Such a program makes its settings and its application in Python, and calls `run()`. The program
has then become the server, which reads this file as its configuration (`_server.serve`). It runs
the program again, up to `run()`, and takes the settings from there. Workers find the application
here too.
"""

import importlib.util
import json
import os
import sys
import types

from gunicorn import _server
from gunicorn.config import Config

# Settings that are lists, and that are set as text.
JOINED = """forwarded_allow_ips proxy_allow_ips uwsgi_allow_ips forwarder_headers
http_protocols""".split()


class Reached(BaseException):
    """The program has called `run()`."""


def run_again(words):
    """Runs the program whose words are given, until it calls `run()`. Returns its application."""
    found = []

    def reach(app):
        found.append(app)
        raise Reached()

    _server.serve = reach
    if words["arguments"] is not None:
        os.environ[_server.ARGUMENTS] = words["arguments"]
    sys.argv = words["argv"]
    if words["path"] not in sys.path:
        sys.path.insert(0, words["path"])
    try:
        execute(words)
    except Reached:
        return found[0]
    raise RuntimeError("%s has ended without a call of run()" % words["argv"][0])


def execute(words):
    program = types.ModuleType("__main__")
    if words["module"]:
        spec = importlib.util.find_spec(words["module"])
        code = spec.loader.get_code(spec.name)
        program.__spec__, program.__package__ = spec, spec.parent
    else:
        with open(words["file"], "rb") as file:
            code = compile(file.read(), words["file"], "exec", dont_inherit=True)
    program.__file__ = words["file"]
    sys.modules["__main__"] = program
    exec(code, vars(program))


def changed(cfg):
    """The settings that the program has changed, as a configuration file sets them."""
    plain = Config().settings
    for name, setting in cfg.settings.items():
        value = setting.get()
        if name in plain and value != plain[name].get():
            yield name, as_set(name, value)


def as_set(name, value):
    if name in JOINED:
        return ",".join(value)
    if name == "statsd_host" and isinstance(value, tuple):
        return "%s:%d" % value
    return value


def __getattr__(name):
    if name == "application":
        return running.wsgi()
    raise AttributeError(name)


running = run_again(json.loads(os.environ[_server.VARIABLE]))
globals().update(changed(running.cfg))
wsgi_app = "gunicorn._embedded:application"
