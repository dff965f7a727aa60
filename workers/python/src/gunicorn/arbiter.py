"""The class of gunicorn's master: what workers and hooks read of it. Its processes are the
server's own here.
"""

import signal

from gunicorn import SERVER_SOFTWARE, _server  # noqa: F401: the first is found here too


class Arbiter:
    """The constants of gunicorn's master."""

    # With these exit statuses a worker ends that cannot start.
    WORKER_BOOT_ERROR = 3
    APP_LOAD_ERROR = 4

    START_CTX = {}
    LISTENERS = []
    WORKERS = {}
    SIGNALS = [
        getattr(signal, "SIG" + name)
        for name in "HUP QUIT INT TERM TTIN TTOU USR1 USR2 WINCH".split()
    ]
    SIG_NAMES = {
        getattr(signal, name): name[3:].lower()
        for name in dir(signal)
        if name.startswith("SIG") and not name.startswith("SIG_")
    }

    def __init__(self, app):
        self.app = app
        self.cfg = app.cfg

    def run(self):
        """Becomes the server; a RuntimeError if that cannot be."""
        _server.serve(self.app)
