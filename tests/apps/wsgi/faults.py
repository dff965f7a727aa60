"""Applications that raise, at every moment at which one can."""

import os
import signal
import sys

PLAIN = [("Content-Type", "text/plain")]


class Failing:
    """An iterable that raises when its turn comes."""

    def __init__(self, pieces, closing=False):
        self._pieces = iter(pieces)
        self._closing = closing

    def __iter__(self):
        return self

    def __next__(self):
        for piece in self._pieces:
            return piece
        raise ValueError("raised while iterating")

    def close(self):
        """Raises too, if asked to."""
        if self._closing:
            raise ValueError("raised in close")


def before(environ, start_response):
    """Raises before anything was said."""
    raise ValueError("raised before start_response")


def unprintable(environ, start_response):
    """Raises with a name of a file that is not UTF-8."""
    raise FileNotFoundError(os.fsdecode(b"caf\xe9"))


def after(environ, start_response):
    """Raises after start_response, with nothing sent."""
    start_response("200 OK", PLAIN)
    raise ValueError("raised after start_response")


def first(environ, start_response):
    """Raises when the first piece is asked for."""
    start_response("200 OK", PLAIN)
    return Failing([])


def second(environ, start_response):
    """Raises when one piece is on its way."""
    start_response("200 OK", PLAIN)
    return Failing([b"one piece"])


def counted(environ, start_response):
    """Raises half way through a body of known length."""
    start_response("200 OK", [("Content-Length", "18"), *PLAIN])
    return Failing([b"one piece"])


def closing(environ, start_response):
    """Raises in close, when all is said."""
    start_response("200 OK", [("Content-Length", "4"), *PLAIN])

    class Closing(list):
        def close(self):
            raise ValueError("raised in close")

    return Closing([b"done"])


def replaced(environ, start_response):
    """Takes its first answer back with exc_info, as nothing was sent."""
    start_response("200 OK", [("X-First", "yes"), *PLAIN])
    try:
        raise ValueError("caught by the application")
    except ValueError:
        start_response("503 Not Now", [("X-Second", "yes"), *PLAIN], sys.exc_info())
    return [b"replaced"]


def too_late(environ, start_response):
    """Tries to take an answer back that is on its way: exc_info is raised."""
    start_response("200 OK", PLAIN)
    yield b"one piece"
    try:
        raise ValueError("too late to be replaced")
    except ValueError:
        start_response("500 Oops", PLAIN, sys.exc_info())
    yield b"never seen"


def twice(environ, start_response):
    """Calls start_response twice without exc_info, which is a mistake."""
    start_response("200 OK", PLAIN)
    start_response("200 OK", PLAIN)
    return [b"never seen"]


def never(environ, start_response):
    """Forgets start_response."""
    return [b"never seen"]


def nothing(environ, start_response):
    """Forgets to return anything."""
    start_response("200 OK", PLAIN)


def text(environ, start_response):
    """Yields text where bytes are due."""
    start_response("200 OK", PLAIN)
    return ["text"]


def exits(environ, start_response):
    """Calls sys.exit in a request."""
    sys.exit("leaving")


def dies(environ, start_response):
    """Ends the process without a word."""
    os._exit(7)


def crashes(environ, start_response):
    """Ends the process as a fault in a C extension does."""
    os.kill(os.getpid(), signal.SIGSEGV)


BY_PATH = {
    "/" + function.__name__: function
    for function in (
        before, unprintable, after, first, second, counted, closing, replaced, too_late, twice,
        never, nothing, text, exits, dies, crashes,
    )
}  # fmt: skip


def application(environ, start_response):
    """Each fault under its name; any other path is well."""
    function = BY_PATH.get(environ["PATH_INFO"])
    if function:
        return function(environ, start_response)
    start_response("200 OK", [("Content-Length", "4"), *PLAIN])
    return [b"well"]
