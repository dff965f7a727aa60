"""The base class of gunicorn's workers, for what is derived from it or asks for its names."""

import os
import signal
import sys

from gunicorn.workers.workertmp import WorkerTmp


class Worker:
    """The attributes of a worker. The server's own workers serve in its place."""

    SIGNALS = [
        getattr(signal, "SIG" + name)
        for name in "ABRT HUP QUIT INT TERM USR1 USR2 WINCH CHLD".split()
    ]
    PIPE = []

    def __init__(self, age, ppid, sockets, app, timeout, cfg, log):
        self.age = age
        self.pid = "[booting]"
        self.ppid = ppid
        self.sockets = sockets
        self.app = app
        self.timeout = timeout
        self.cfg = cfg
        self.log = log
        self.booted = self.aborted = False
        self.alive = True
        self.reloader = None
        self.nr = 0
        self.max_requests = allotment(cfg)
        self.tmp = WorkerTmp(cfg)

    def __str__(self):
        return "<Worker %s>" % self.pid

    def notify(self):
        self.tmp.notify()

    def run(self):
        raise NotImplementedError()

    def init_process(self):
        """Prepares a process that is a worker by itself, and runs it."""
        os.environ.update(self.cfg.env)
        self.PIPE = os.pipe()
        for descriptor in self.PIPE:
            os.set_blocking(descriptor, False)
        self.wait_fds = [*self.sockets, self.PIPE[0]]
        self.init_signals()
        self.load_wsgi()
        self.cfg.post_worker_init(self)
        self.booted = True
        self.run()

    def load_wsgi(self):
        self.wsgi = self.app.wsgi()

    def init_signals(self):
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        handlers = {
            signal.SIGQUIT: self.handle_quit,
            signal.SIGINT: self.handle_quit,
            signal.SIGTERM: self.handle_exit,
            signal.SIGWINCH: self.handle_winch,
            signal.SIGUSR1: self.handle_usr1,
            signal.SIGABRT: self.handle_abort,
        }
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.siginterrupt(number, False)

    def handle_usr1(self, sig, frame):
        self.log.reopen_files()

    def handle_exit(self, sig, frame):
        self.alive = False

    def handle_quit(self, sig, frame):
        self.alive = False
        self.cfg.worker_int(self)
        sys.exit(0)

    def handle_abort(self, sig, frame):
        self.alive = False
        self.cfg.worker_abort(self)
        sys.exit(1)

    def handle_winch(self, sig, fname):
        pass


def allotment(cfg):
    """After how many requests a worker is replaced, with a random part."""
    if cfg.max_requests == 0:
        return sys.maxsize
    import random

    return cfg.max_requests + random.randint(0, cfg.max_requests_jitter)
