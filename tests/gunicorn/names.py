"""Prints what the package `gunicorn` that this interpreter imports does: one line for each
question, so that two packages can be compared.

`python names.py [DIRECTORY]`: the package in this directory, else the one that is installed.
It writes files into the current directory.
"""

import contextlib
import datetime
import functools
import io
import logging
import os
import re
import sys

if len(sys.argv) > 1:
    sys.path.insert(0, sys.argv.pop())

import gunicorn
from gunicorn import config, errors, glogging, util
from gunicorn.app.base import Application, BaseApplication
from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.arbiter import Arbiter
from gunicorn.http import errors as http_errors
from gunicorn.workers import SUPPORTED_WORKERS
from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import ThreadWorker
from gunicorn.workers.sync import SyncWorker


def no_parameter():
    pass


def one(server):
    pass


def two(server, worker):
    pass


def three(a, b, c):
    pass


def four(a, b, c, d=None):
    pass


def several(*args, **kwargs):
    pass


def named(a, *, b=1):
    pass


class Hooks:
    def one(self, server):
        pass

    @staticmethod
    def two(server, worker):
        pass

    def __call__(self, server, worker):
        pass


class Chosen(SyncWorker):
    pass


def chooses():
    return Chosen


VALUES = [
    None, True, False, 0, 1, -1, 2, 7, 8190, 16383, 16384, 2**24, 2**31, 1.5, "", " ", "0", "1",
    "-1", "3", " 4 ", "0x10", "0o17", "017", "1_000", "1.5", "two", "true", "True", " FALSE ",
    "yes", "info", "DEBUG", "-", "log\n", "127.0.0.1", "127.0.0.1:80", ":8000", "[::1]:80",
    "unix:/run/app.sock", "unix://tmp/x", "unix:80", "fd://3", "fd://x", "a:b", "a:None",
    "localhost:8125", "*", "10.0.0.0/8", "10.0.0.1/8", "10.0.0.1, ::1", "10.0.0.1,,", ",", "a,b",
    "drop", "Refuse", "dangerous", "off", "v1", "V2 ", "auto", "none", "h1", "h1,h2", "h2, h1",
    "h1,h1", "h3", "on", "uvloop", "asyncio", "fast", "python", "both", "upgrade", "poll",
    "inotify", "prior-knowledge", "root", "nosuchuser", "99999", "/tmp", "/nonexistent", ".",
    "/nonexistent/*.py", "/tmp/*", "A=1", "sync", "gthread", "os.path.join", "os.nothing",
    "nothing.at.all", "nodots", b"bytes", [], ["a"], ["a", " b "], ["a", 1], ("a", "b"), (), {},
    {"a": 1}, {"X": "y"}, object, Chosen, chooses, no_parameter, one, two, three, four, several,
    named, print, Hooks, Hooks(), Hooks().one, Hooks.two, functools.partial(two, 1),
    functools.partial(three, c=1), lambda server: None, lambda a, b: None,
]  # fmt: skip


def shown(value):
    if isinstance(value, (list, tuple)):
        return "%s%s" % (type(value).__name__, [shown(one) for one in value])
    if callable(value):
        named = getattr(value, "__qualname__", None)
        return "<%s>" % (named or type(value).__qualname__)
    return repr(value) if type(value).__module__ == "builtins" else str(value)


def write(*texts):
    """Prints a line without what differs between two processes."""
    line = " ".join(map(str, texts)).replace(os.getcwd(), "DIRECTORY")
    print(re.sub(r" at 0x[0-9a-f]+|/\S*\.py:\d+: ", "", line))


def question(text, ask, *args, **kwargs):
    """Prints the result of a call: a value, or a kind of exception and its first line."""
    printed = io.StringIO()
    with contextlib.redirect_stderr(printed), contextlib.redirect_stdout(printed):
        try:
            result = shown(ask(*args, **kwargs))
        except (Exception, SystemExit) as error:
            result = "%s: %s" % (type(error).__name__, (str(error).splitlines() or [""])[0])
    lines = [line for line in printed.getvalue().splitlines() if not line.startswith("  ")]
    write("%s -> %s %s" % (text, result, lines or ""))


def settings():
    cfg = config.Config()
    for name in sorted(cfg.settings):
        for value in VALUES:

            def change():
                cfg.set(name, value)
                return cfg.settings[name].get()

            question("%s = %s" % (name, shown(value)), change)


def classes():
    for known in config.KNOWN_SETTINGS:
        setting = known()
        hook = callable(known.default) and shown(known.default)
        columns = "order section cli meta action nargs const name value".split()
        values = [shown(getattr(setting, column)) for column in columns]
        kind = "auto_int" if known.type not in (None, int, callable) else shown(known.type)
        kind = kind if known.cli else ""
        write(known.__name__, *values, hook or shown(known.default), kind)
    question("ignored", lambda: sorted(config.make_settings(ignore=["bind", "workers"])))
    question("default format", lambda: config.AccessLogFormat.default)
    question("default hook", lambda: config.WhenReady.when_ready)


COMBINATIONS = [
    {},
    {"workers": "3", "bind": ["a:1", "unix:/x"], "threads": 4, "raw_env": ["A=b", "C=d=e"]},
    {"worker_class": Chosen, "post_request": three, "pre_fork": two, "on_exit": Hooks().one},
    {"worker_class": "gunicorn.workers.sync.SyncWorker", "threads": 2, "proc_name": "shop"},
    {"worker_class": "gthread", "keyfile": "k", "certfile": "c", "cert_reqs": 2, "ciphers": "x"},
    {"raw_env": "A=b", "sendfile": False, "reuse_port": True, "statsd_host": "localhost:8125"},
    {"raw_env": ["A"], "raw_paste_global_conf": ["a\\=b=c", "d=e"], "user": 1, "group": "2"},
    {"logger_class": "simple", "secure_scheme_headers": {"X": "y"}, "umask": "0o22"},
    {"bind": "a:b", "http_protocols": "h1,h2", "worker_class": "no.such.Class"},
    {"http_protocols": "h2", "http2_cleartext": True, "logger_class": "no.such.Logger"},
]
ATTRIBUTES = """worker_class_str worker_class address uid gid proc_name is_ssl ssl_options env
sendfile reuse_port paste_global_conf logger_class workers nosuch settings_""".split()


def combinations():
    for values in COMBINATIONS:
        cfg = config.Config(prog="shop")
        for name, value in values.items():
            cfg.set(name, value)
        write(cfg)
        for name in ATTRIBUTES:
            question(name, lambda: getattr(cfg, name))
        question("validate", cfg.validate)
        question("assign", setattr, cfg, "workers", 3)
        question("unknown", cfg.set, "nosuch", 3)
        question("another", lambda: setattr(cfg, "other", 3) or cfg.other)
        question("arguments", cfg.get_cmd_args_from_env)


def post_requests():
    called = []
    hooks = [lambda a, b: called.append((a, b)), lambda a, b, c: called.append((a, b, c))]
    for hook in [*hooks, lambda a, b, c, d: called.append((a, b, c, d))]:
        cfg = config.Config()
        cfg.set("post_request", hook)
        cfg.post_request(1, 2, 3, 4)
    write("post_request", called)


ADDRESSES = """127.0.0.1 127.0.0.1:80 :80 [::1]:80 [::1] ::1 unix:/a unix://a/b unix: fd://3 fd://x
tcp://1.2.3.4:5 TCP://A:9 http://h:1 localhost HOST:0 a:b:c a:None a:99999 a:-1 0.0.0.0:{PORT}
[::1]:x [::1 :: fd:3 fd:// unix:@abs 1.2.3.4: [::]: tcp://[::1]:9 localhost:80/x //x:1 [FE80::1]:1
[a]b]:1 [::1]x:1 [] [::1]:1:2 tcp:// fd://-1 unix:a:b ::1:80""".split()
CLASSES = """sync gthread a.b gunicorn.workers.sync.SyncWorker gunicorn.workers.sync.Nope
json.JSONDecoder .x x. aiohttp.GunicornUVLoopWebWorker egg:x#y""".split()
APPLICATIONS = """shop shop:app shop:make() shop:make(3) shop:make(b=4) shop:make(c=4) shop:make(x)
shop:make(*[1]) shop:nothing() shop:boom() shop:wrong() shop:needs() shop:notcall shop:nope
shop:nope() shop:ns.app shop:many[0] shop: shop:app:x shop.py shop.py:app nomod nomod.py syntax:app
imports:app shop:1+1 shop:make( shop:(app) :app shop:make(1,2) shop:make('a')
shop:ns.app()""".split()
SHOP = """
def app(environ, start_response): return []
def make(a=1, *, b=2): return app
def nothing(): return None
def boom(): raise ValueError("boom")
def wrong(): int([])
def needs(x): return app
notcall = 5
class ns: app = staticmethod(app)
many = [app]
"""


def utilities():
    for address in [*ADDRESSES, "", "host: 80", "a:80 ", " [::1]:1", "unix:///x y"]:
        question("address %r" % address, util.parse_address, address)
        question("address with port %r" % address, util.parse_address, address, "9")
    for value in VALUES:
        if callable(value):
            question("arity %s" % shown(value), util.get_arity, value)
    for name in CLASSES:
        question("class %s" % name, util.load_class, name)
    question("class", util.load_class, Chosen)
    for name, content in (("shop", SHOP), ("syntax", "def ("), ("imports", "import nosuchmodule")):
        with open(name + ".py", "w") as file:
            file.write(content)
    sys.path.insert(0, os.getcwd())
    for name in APPLICATIONS:
        sys.modules.pop("shop", None)
        question("application %s" % name, util.import_app, name)
    for target in ("//a/b?c#d", "/a?b", "//a", "http://x/y", "*", "a:1"):
        question("target %s" % target, lambda: tuple(util.split_request_uri(target)))
    for value in ("x", b"x", 5):
        question("bytes", util.to_bytestring, value)
        question("text", util.bytes_to_str, value)
    question("warn", util.warn, "one\ntwo")
    question("date", util.http_date, 0)
    question("hops", lambda: sorted(util.hop_headers))
    question("hop", util.is_hoppish, " TE ")
    question("writable", util.check_is_writable, "/nonexistent/x")
    question("unlink", util.unlink, "/nonexistent/x")
    question("ipv6", lambda: [util.is_ipv6(text) for text in ("::1", "127.0.0.1", "x")])
    question("unquote", util.unquote_to_wsgi_str, "a%20%e4")
    question("descriptor", lambda: [util.has_fileno(it) for it in (io.BytesIO(), sys.__stdin__)])
    started = []
    body = util.make_fail_app("failed")({}, lambda *args: started.append(args))
    write("fail", list(body), started)


class Response:
    status = "200 OK"
    sent = 5
    headers = [("Content-Type", "text/plain")]


class Request:
    headers = [("X-OWN", 'a"b'), ("USER-AGENT", "agent")]


ENVIRON = {
    "REQUEST_METHOD": "GET", "RAW_URI": "/a?b", "SERVER_PROTOCOL": "HTTP/1.1", "PATH_INFO": "/a",
    "QUERY_STRING": "b", "REMOTE_ADDR": "10.0.0.1", "HTTP_USER_AGENT": 'a"gent',
    "HTTP_AUTHORIZATION": "Basic YWRhOnNlY3JldA==", "own.number": 3,
}  # fmt: skip
FORMAT = (
    '%(h)s %(l)s %(u)s "%(r)s" %(m)s %(U)s %(q)s %(H)s %(s)s %(b)s %(B)s "%(f)s" "%(a)s" %(T)s '
    "%(D)s %(M)s %(L)s %({X-Own}i)s %({content-type}o)s %({Own.Number}e)s %({no}i)s %(no)s %(h)-12s"
)
SYSLOG = """unix:///dev/log unix:///dev/log#dgram unix:///dev/log#stream unix://rel udp://host:1
tcp://Host udp:// tcp://[::1]:9 tcp://[FE::1] udp://a:x http://a localhost:514""".split()


def logs():
    write("defaults", glogging.CONFIG_DEFAULTS, sorted(glogging.SYSLOG_FACILITIES.items()))
    for address in SYSLOG:
        question("syslog %s" % address, glogging.parse_syslog_address, address)
    text = io.StringIO()
    cfg = config.Config()
    cfg.set("accesslog", "access.log")
    cfg.set("access_log_format", FORMAT)
    log = glogging.Logger(cfg)
    elapsed = datetime.timedelta(seconds=2, microseconds=345678)
    log.access(Response(), Request(), ENVIRON, elapsed)
    for authorization in ("Basic !", "basic YWRh", "Bearer YWRh", "Basic OnM=", "Basic"):
        environ = {**ENVIRON, "HTTP_AUTHORIZATION": authorization}
        log.access(Response(), Request(), environ, elapsed)
    with open("access.log") as file:
        write(file.read())
    log.error_log.addHandler(logging.StreamHandler(text))
    log.info("one %s", "two")
    log.log("error", "three")
    log.debug("four")
    write("log", text.getvalue(), log.loglevel, log.error_log.propagate, len(log.now()))
    for values in ({"logconfig": "/nonexistent"}, {"logconfig_dict": {"version": 2}}):
        changed = config.Config()
        for name, value in values.items():
            changed.set(name, value)
        question("log configuration %s" % values, glogging.Logger, changed)


def failures():
    for name, kind in sorted(vars(http_errors).items()):
        if isinstance(kind, type) and kind.__module__ == http_errors.__name__:
            error = kind("what")
            write(name, kind.__bases__[0].__name__, error, sorted(vars(error).items()))
    write(http_errors.LimitRequestLine(9, 5), errors.HaltServer("why", 3), errors.HaltServer("x"))
    write(errors.ConfigError("a"), errors.AppImportError("b"))
    write(issubclass(errors.HaltServer, Exception))


def constants():
    write(gunicorn.__version__, gunicorn.version_info, gunicorn.SERVER, gunicorn.SERVER_SOFTWARE)
    write(Arbiter.WORKER_BOOT_ERROR, Arbiter.APP_LOAD_ERROR, Arbiter.SIGNALS, Arbiter.SIG_NAMES)
    write(Worker.SIGNALS, SUPPORTED_WORKERS, str(SyncWorker), str(ThreadWorker))
    cfg = config.Config()
    worker = SyncWorker(3, 1, [], None, 30, cfg, None)
    fields = "age pid ppid sockets app timeout booted aborted nr max_requests alive log".split()
    write(worker, [getattr(worker, field) for field in fields], worker.tmp.last_update() > 0)


COMMAND_LINES = [
    "shop:app",
    "-w 3 -b :9000 -b unix:/x shop:app --timeout=5",
    "-w4 --preload shop:app --no-sendfile -e A=1 -e B=2 --umask 022 --control-socket-mode 0640",
    "--limit-request-field_size 0 --log-file a --error-logfile b --proxy-protocol -n x shop:app",
    "--proxy-protocol v1 shop:app",
    "-c good.py shop:app",
    "-c good.py -w 9 shop:app",
    "-c file:good.py shop:app",
    "-c python:goodmodule shop:app",
    "-c other.conf shop:app",
    "-c missing.py shop:app",
    "-c bad.py shop:app",
    "-c wrong.py shop:app",
    "-c python:goodmodule",
    "-w two shop:app",
    "--nosuch shop:app",
    "-u nosuchuser shop:app",
    "--chdir /nonexistent shop:app",
    "",
]
FILES = {
    "good.py": "workers = '5'\nbind = 'a:1'\nnosuch = 1\nwhen_ready = lambda server: None\n",
    "goodmodule.py": "wsgi_app = 'shop:app'\nthreads = 2\n",
    "other.conf": "workers = 6\nlocals()['keepalive'] = '11'\n",
    "bad.py": "raise KeyError('x')\n",
    "wrong.py": "workers = -1\n",
}


def programs():
    here = os.getcwd()
    for name, content in FILES.items():
        with open(name, "w") as file:
            file.write(content)
    for line in COMMAND_LINES:
        os.chdir(here)
        sys.modules.pop("goodmodule", None)
        sys.argv = ["gunicorn", *line.split()]

        def load():
            application = WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]", prog="gunicorn")
            return [application.app_uri, application.cfg.proc_name, str(application.cfg)]

        question("program %s" % line, load)

    class Own(BaseApplication):
        def load_config(self):
            for name, value in {"bind": "x:1", "workers": 2}.items():
                self.cfg.set(name, value)

        def load(self):
            return one

    question("own", lambda: Own().wsgi() is one)
    question("base", BaseApplication)
    question("is", issubclass, WSGIApplication, Application)


def main():
    # Texts of the command line's parser have its width.
    os.environ["COLUMNS"] = "200"
    for part in (
        settings, classes, combinations, post_requests, utilities, logs, failures, constants,
        programs,
    ):  # fmt: skip
        write("##", part.__name__)
        part()


main()
