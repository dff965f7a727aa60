"""Answers of every shape, honest and not."""

import io
import itertools
import os
from collections import namedtuple
from collections.abc import Sequence

PLAIN = ("Content-Type", "text/plain")
Field = namedtuple("Field", "name value")


def too_long(environ, start_response):
    """More bytes than Content-Length says."""
    start_response("200 OK", [PLAIN, ("Content-Length", "5")])
    return [b"hello", b", and more"]


def too_long_at_once(environ, start_response):
    """The same in one piece."""
    start_response("200 OK", [PLAIN, ("Content-Length", "5")])
    return [b"hello, and more"]


def endless(environ, start_response):
    """More bytes than Content-Length says, without an end."""
    start_response("200 OK", [PLAIN, ("Content-Length", "5")])
    return itertools.repeat(b"hello")


def endless_no_content(environ, start_response):
    """204 with a body that must not be sent, without an end."""
    start_response("204 No Content", [])
    return itertools.repeat(b"never seen")


def too_short(environ, start_response):
    """Fewer bytes than Content-Length says."""
    start_response("200 OK", [PLAIN, ("Content-Length", "50")])
    return [b"hello"]


def one_piece(environ, start_response):
    """A list of one piece and no Content-Length: the server can count it."""
    start_response("200 OK", [PLAIN])
    return [b"hello"]


def pieces(environ, start_response):
    """Several pieces without a Content-Length, empty ones among them."""
    start_response("200 OK", [PLAIN])
    return iter([b"", b"one ", b"", b"two ", b"three", b""])


def empty(environ, start_response):
    """No piece at all."""
    start_response("200 OK", [PLAIN])
    return []


def no_content(environ, start_response):
    """204 with a body that must not be sent."""
    start_response("204 No Content", [])
    return [b"never seen"]


def not_modified(environ, start_response):
    """304 with a body that must not be sent, and the length it would have."""
    start_response("304 Not Modified", [("ETag", '"a"'), ("Content-Length", "10")])
    return [b"never seen"]


def written(environ, start_response):
    """The old way: write() first, then a body."""
    write = start_response("200 OK", [PLAIN])
    write(b"written ")
    write(b"twice ")
    return [b"and returned"]


def written_counted(environ, start_response):
    """write() with a Content-Length."""
    write = start_response("200 OK", [PLAIN, ("Content-Length", "7")])
    write(b"written")
    return []


def real_file(environ, start_response):
    """A file of the file system, which the kernel can send."""
    file = open(environ["HTTP_X_FILE"], "rb")
    size = os.fstat(file.fileno()).st_size
    file.seek(int(environ.get("HTTP_X_SKIP", "0")))
    headers = [PLAIN]
    if "HTTP_X_LENGTH" in environ:
        headers.append(("Content-Length", environ["HTTP_X_LENGTH"]))
    elif "HTTP_X_UNCOUNTED" not in environ:
        headers.append(("Content-Length", str(size - file.tell())))
    start_response("200 OK", headers)
    return environ["wsgi.file_wrapper"](file)


def memory_file(environ, start_response):
    """Something that only looks like a file."""
    start_response("200 OK", [PLAIN])
    return environ["wsgi.file_wrapper"](io.BytesIO(b"from memory " * 2000), 1000)


def cookies(environ, start_response):
    """The same header twice: two lines, in order."""
    start_response("200 OK", [PLAIN, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Content-Length", "0")])
    return []


def own_headers(environ, start_response):
    """Headers that are the server's business, and a Date of its own."""
    start_response("200 OK", [PLAIN, ("Date", "yesterday"), ("Server", "mine"), ("Content-Length", "2")])
    return [b"ok"]


def closing(environ, start_response):
    """Asks for the connection to be closed."""
    start_response("200 OK", [PLAIN, ("Connection", "close"), ("Content-Length", "2")])
    return [b"ok"]


def latin(environ, start_response):
    """Characters of latin-1 in a header: bytes on the wire."""
    start_response("200 OK", [PLAIN, ("X-Name", "caf\xe9"), ("Content-Length", "2")])
    return [b"ok"]


class Pair:
    """A sequence of its own kind."""

    def __init__(self, *words):
        self.words = words

    def __len__(self):
        return len(self.words)

    def __getitem__(self, index):
        return self.words[index]


Sequence.register(Pair)


class Word(str):
    """Text of a derived type, as templates make it."""


def sequences(environ, start_response):
    """Headers that are pairs, but no tuples."""
    fields = [["X-List", "a"], ("X-Tuple", Word("b")), Pair("X-Own", "c"), Field("X-Named", "d"), ["Content-Length", "2"]]
    start_response(Word("200 OK"), (field for field in fields))
    return [b"ok"]


HONEST = {
    "/" + function.__name__: function
    for function in (
        one_piece, pieces, empty, written, written_counted, memory_file, real_file, cookies, latin,
    )
}  # fmt: skip

BY_PATH = HONEST | {
    "/" + function.__name__: function
    for function in (
        too_long, too_long_at_once, endless, endless_no_content, too_short, no_content, not_modified, own_headers, closing,
        sequences,
    )
}  # fmt: skip


def application(environ, start_response):
    """Each answer under its name."""
    return BY_PATH[environ["PATH_INFO"]](environ, start_response)


BAD_HEADERS = {
    "/crlf_in_value": ("200 OK", [("X-A", "a\r\nX-Injected: yes")]),
    "/lf_in_value": ("200 OK", [("X-A", "a\nX-Injected: yes")]),
    "/nul_in_value": ("200 OK", [("X-A", "a\0b")]),
    "/crlf_in_name": ("200 OK", [("X-A: a\r\nX-Injected", "yes")]),
    "/space_in_name": ("200 OK", [("X A", "a")]),
    "/empty_name": ("200 OK", [("", "a")]),
    "/beyond_latin": ("200 OK", [("X-A", "\N{SNOWMAN}")]),
    "/bytes_in_value": ("200 OK", [("X-A", b"a")]),
    "/number_in_value": ("200 OK", [("X-A", 1)]),
    "/crlf_in_status": ("200 OK\r\nX-Injected: yes", []),
    "/status_without_number": ("OK", []),
    "/status_too_short": ("20", []),
    "/status_in_bytes": (b"200 OK", []),
    "/length_no_number": ("200 OK", [("Content-Length", "many")]),
    "/length_negative": ("200 OK", [("Content-Length", "-1")]),
    "/two_lengths": ("200 OK", [("Content-Length", "2"), ("Content-Length", "3")]),
    "/headers_no_list": ("200 OK", None),
    "/header_no_pair": ("200 OK", [("X-A",)]),
    "/header_of_three": ("200 OK", [["X-A", "a", "b"]]),
    "/header_is_text": ("200 OK", ["AB"]),
    "/header_is_a_set": ("200 OK", [{"X-A", "a"}]),
    "/header_is_a_dictionary": ("200 OK", [{0: "X-A", 1: "a"}]),
    "/bytes_in_a_list": ("200 OK", [[b"X-A", b"a"]]),
}


def bad_headers(environ, start_response):
    """Heads that must not reach the wire."""
    status, headers = BAD_HEADERS.get(environ["PATH_INFO"], ("200 OK", []))
    start_response(status, headers)
    return [b"ok"]
