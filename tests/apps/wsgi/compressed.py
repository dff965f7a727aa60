"""Responses as the query describes them: ``size`` of the body, ``status``, and each ``field``."""

import itertools
import tempfile
import threading
from collections import deque
from urllib.parse import parse_qs


def text(size):
    """So many bytes of text that is worth compressing."""
    lines = (f"line {number} of a text\n" for number in range(size // 15 + 1))
    return "".join(lines)[:size].encode()


def whole(environ, write, body):
    """All in one piece."""
    return [body]


def parts(environ, write, body):
    """A list of several pieces, one of them empty."""
    third = len(body) // 3
    return [body[:third], b"", body[third : 2 * third], body[2 * third :]]


def pieces(environ, write, body):
    """One piece after the other."""
    for at in range(0, len(body), 1000):
        yield body[at : at + 1000]


def written(environ, write, body):
    """Half of it by ``write``."""
    half = len(body) // 2
    write(body[:half])
    return [body[half:]]


def file(environ, write, body):
    """A file, from its second byte on."""
    opened = tempfile.TemporaryFile()
    opened.write(b"-" + body)
    opened.seek(1)
    return environ["wsgi.file_wrapper"](opened)


def failing(environ, write, body):
    """Half of it, and then an exception."""
    yield body[: len(body) // 2]
    raise ValueError("raised in the middle of a body")


def endless(environ, write, body):
    """The same piece for as long as the client takes it."""
    while True:
        yield body


def beside(environ, write, body):
    """Writes zeros until another thread has run during a call of ``write``."""
    state, seen, zeros = set(), threading.Event(), bytes(len(body))

    def look():
        while not seen.is_set():
            if "writing" in state:
                seen.set()

    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(1000):
        if seen.is_set():
            break
        # No bytecode runs between these calls, so only `write` can let another thread run.
        calls = [map(state.add, ["writing"]), map(write, [zeros]), map(state.discard, ["writing"])]
        deque(itertools.chain(*calls), maxlen=0)
    if not seen.is_set():
        seen.set()
        raise RuntimeError("no other thread has run")
    looking.join()
    return []


FORMS = {form.__name__: form for form in (whole, parts, pieces, written, file, failing, endless, beside)}


def application(environ, start_response):
    """The path names the form of the body."""
    query = parse_qs(environ["QUERY_STRING"])
    fields = [tuple(field.split(": ", 1)) for field in query.get("field", [])]
    write = start_response(query.get("status", ["200 OK"])[0], fields)
    body = text(int(query.get("size", ["0"])[0]))
    return FORMS[environ["PATH_INFO"][1:]](environ, write, body)
