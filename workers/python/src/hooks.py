"""The objects that server hooks of gunicorn get, and the calls of the hooks.

The names of attributes are gunicorn's. An object is the same one in every hook, and takes
attributes of the hooks.
"""

import os
import signal
import socket
import sys
import time
from random import randint

BOOT_ERROR = 3
APPLICATION_ERROR = 4

# Signals that end a process: those that an operator sends to all processes of a server.
ENDING = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT
# Signals that are a worker's own: handlers that hooks set in the mold are not for workers.
OWN = (
    *ENDING,
    signal.SIGABRT,
    signal.SIGCHLD,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)


class Log:
    """The error log, with the methods of gunicorn's logger."""

    def __init__(self, cfg):
        import logging

        self.error_log = logging.getLogger("gunicorn.error")
        self.access_log = logging.getLogger("gunicorn.access")
        self.setup(cfg)
        for name in "critical", "error", "warning", "info", "debug", "exception":
            setattr(self, name, getattr(self.error_log, name))

    def setup(self, cfg):
        """Takes settings; the server itself has configured the loggers."""
        self.cfg = cfg
        self.loglevel = self.error_log.level

    def log(self, level, message, *args, **kwargs):
        if isinstance(level, str):
            self.error_log.log(getattr(sys.modules["logging"], level.upper()), message, *args, **kwargs)
        else:
            self.error_log.log(level, message, *args, **kwargs)

    def reopen_files(self):
        """Does nothing: the server opens its logs again by itself."""

    def close_on_exec(self):
        """Does nothing: the logs are closed where a program is executed."""


class WorkerTmp:
    """In place of the file by which gunicorn watches a worker: the server does that itself."""

    def notify(self):
        """Does nothing: the worker's event loop writes its heartbeat."""

    def last_update(self):
        return time.monotonic()

    def close(self):
        """Does nothing: there is no file."""


class Listener:
    """A listening socket. Attributes that it lacks are those of its socket."""

    def __init__(self, number, text):
        self.sock = socket.socket(fileno=number)
        self.cfg_addr = self.sock.getsockname()
        self.FAMILY = self.sock.family
        self._text = text

    def __str__(self):
        return self._text

    def __getattr__(self, name):
        return getattr(self.__dict__["sock"], name)


class Application:
    """The application of the server; `wsgi()` loads it, if it is not loaded yet."""

    def __init__(self, cfg, uri, load):
        self.cfg = cfg
        self.app_uri = uri
        self.callable = None
        self.name = None
        self._load = load

    def wsgi(self):
        if self.callable is None:
            pairs = self.cfg.settings["raw_paste_global_conf"].get() or ()
            self.callable, self.name = self._load(self.app_uri, pairs)
        return self.callable

    load = wsgi

    def chdir(self):
        os.chdir(self.cfg.chdir)
        if self.cfg.chdir not in sys.path:
            sys.path.insert(0, self.cfg.chdir)


class Server:
    """The server, as the process that forks its workers has it."""

    WORKER_BOOT_ERROR = BOOT_ERROR
    APP_LOAD_ERROR = APPLICATION_ERROR

    def __init__(self, app, log):
        self.app = app
        self.log = log
        # Hooks expect the process that receives the server's signals.
        self.pid = os.getppid()
        self.WORKERS = {}
        self.LISTENERS = []
        self.num_workers = None
        self.worker_age = 0
        self.master_name = "Master"
        self.master_pid = self.reexec_pid = 0
        self.pidfile = None
        self.systemd = False
        self.START_CTX = {"args": [sys.executable, *sys.argv], "cwd": os.getcwd(), 0: sys.executable}

    def use(self, cfg):
        self.cfg = self.app.cfg = cfg
        self.timeout = cfg.timeout
        self.proc_name = cfg.proc_name
        try:
            self.address = cfg.address
        except (RuntimeError, ValueError):
            # An address with options, which gunicorn does not have.
            self.address = list(cfg.settings["bind"].get())

    def kill_worker(self, pid, sig):
        """Sends a worker a signal. The server replaces a worker that ends."""
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            pass

    def kill_workers(self, sig):
        for pid in list(self.WORKERS):
            self.kill_worker(pid, sig)

    @property
    def worker_class(self):
        return self.cfg.worker_class


class Worker:
    """A worker: made before its fork, the same object in the hooks of both processes."""

    def __init__(self, server):
        cfg = server.cfg
        self.age = server.worker_age
        self.pid = "[booting]"
        self.ppid = server.pid
        self.sockets = server.LISTENERS
        self.app = server.app
        self.timeout = cfg.timeout / 2.0
        self.cfg = cfg
        self.log = server.log
        self.booted = self.aborted = False
        self.alive = True
        self.reloader = None
        self.nr = 0
        self.max_requests = sys.maxsize
        if cfg.max_requests > 0:
            self.max_requests = cfg.max_requests + randint(0, cfg.max_requests_jitter)
        self.tmp = WorkerTmp()

    def __str__(self):
        return "<Worker %s>" % self.pid

    def notify(self):
        self.tmp.notify()


class Hooks:
    """Calls the hooks: those of the server in the mold, those of one worker in the worker."""

    def __init__(self, config, uri, load, make_log=Log):
        self.config = config
        cfg = config.cfg
        self.server = Server(Application(cfg, uri, load), make_log(cfg))
        self.server.use(cfg)
        self.worker = None
        self._numbers = {}
        self._handlers = {}

    def use(self, uri):
        """The settings were read again."""
        self.server.app.app_uri = uri
        self.server.use(self.config.cfg)
        if isinstance(self.server.log, Log):
            self.server.log.setup(self.config.cfg)

    def listen(self, sockets, are_activated):
        """`sockets` are numbers of descriptors with the addresses of the sockets."""
        self.server.systemd = self.server.systemd or are_activated
        self.server.LISTENERS = [Listener(*it) for it in sockets]

    # In the mold.

    def on_starting(self):
        self.server.cfg.on_starting(self.server)

    def when_ready(self):
        self.server.cfg.when_ready(self.server)

    def on_reload(self):
        self.server.cfg.on_reload(self.server)

    def pre_exec(self):
        self.server.cfg.pre_exec(self.server)

    def on_exit(self):
        self.server.cfg.on_exit(self.server)

    def nworkers_changed(self, new, old):
        self.server.num_workers = new
        self.server.cfg.nworkers_changed(self.server, new, old)

    def pre_fork(self, age):
        """A worker is about to be forked; `age` is the number of workers so far, with it."""
        self.server.worker_age = age
        self.worker = Worker(self.server)
        self.server.cfg.pre_fork(self.server, self.worker)

    def forked(self, number, pid):
        """The worker exists; `number` is the master's for it."""
        worker, self.worker = self.worker, None
        worker.pid = pid
        self._numbers[number] = pid
        self.server.WORKERS[pid] = worker

    def child_exit(self, number, is_silent):
        worker = self.server.WORKERS.pop(self._numbers.pop(number, None), None)
        if worker is not None and not is_silent:
            self.server.cfg.child_exit(self.server, worker)

    def wait_with_gevent(self, number):
        """Waits until a descriptor is readable while greenlets run; returns False without
        gevent in place of Python's own threads.
        """
        monkey = sys.modules.get("gevent.monkey")
        if monkey is None or not monkey.is_module_patched("threading"):
            return False
        from gevent import get_hub

        watcher = get_hub().loop.io(number, 1)
        try:
            get_hub().wait(watcher)
        finally:
            watcher.close()
        return True

    # In the worker.

    def post_fork(self):
        if "gevent" in sys.modules:
            sys.modules["gevent"].reinit()
        self.worker.pid = os.getpid()
        self.server.cfg.post_fork(self.server, self.worker)

    def post_worker_init(self, wsgi):
        self.worker.wsgi = wsgi
        self.worker.cfg.post_worker_init(self.worker)
        self.worker.booted = True

    def worker_int(self):
        self.worker.alive = False
        self.worker.cfg.worker_int(self.worker)

    def has_worker_abort(self):
        setting = self.worker.cfg.settings["worker_abort"]
        return setting.get() is not setting.default

    def watch_abort(self, end):
        def abort(_number, _frame):
            self.worker.alive = False
            self.worker.aborted = True
            try:
                self.worker.cfg.worker_abort(self.worker)
            finally:
                end()

        signal.signal(signal.SIGABRT, abort)

    def watch_expiry(self, number):
        """The signal of this number is sent when a request has run for too long."""

        def expire(_number, _frame):
            self.worker.aborted = True
            # What the hook raises must not end what the main thread runs: another request, maybe.
            try:
                self.worker.cfg.worker_abort(self.worker)
            except SystemExit:
                pass
            except BaseException:
                self.worker.log.exception("the hook worker_abort has failed")

        signal.signal(number, expire)

    def worker_exit(self):
        self.server.cfg.worker_exit(self.server, self.worker)

    # Handlers of signals.

    def outlive_signals(self):
        """Lets signals pass that end a process: the mold ends when the master does, and only
        then can it run the last hooks. Handlers that hooks set instead stay.
        """
        self._handlers = {number: signal.getsignal(number) for number in OWN}
        for number in ENDING:
            if self._handlers[number] in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, _let_pass)

    def give_handlers_back(self):
        """Gives a worker the handlers from before `outlive_signals`."""
        for number, before in self._handlers.items():
            if signal.getsignal(number) is not before:
                signal.signal(number, signal.SIG_DFL if before is None else before)


def _let_pass(_number, _frame):
    """Does nothing."""
