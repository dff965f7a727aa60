"""Objects that wrap a real file: what their ``read`` gives is the answer, by ``wsgi.file_wrapper``."""

import gzip
import io
import os
import tempfile
import weakref

from django.conf import settings
from django.core.files.base import File
from django.core.files.images import ImageFile
from django.core.files.uploadedfile import TemporaryUploadedFile
from werkzeug.wrappers import Response

if not settings.configured:
    settings.configure()


def unveil(data):
    """What was kept with each byte turned round."""
    return bytes(255 - byte for byte in data)


class Veiled(File):
    """Django's file with a ``read`` of its own."""

    def read(self, size=-1):
        """Bytes that the disk does not hold."""
        return unveil(self.file.read(size))


class Diverted(File):
    """Django's file whose attributes are not what its class says."""

    def __getattribute__(self, name):
        return Veiled(super().__getattribute__("file")).read if name == "read" else super().__getattribute__(name)


class Proxy:
    """Hands on everything else."""

    def __init__(self, file):
        self.file = file

    def read(self, size=-1):
        """Bytes that the disk does not hold."""
        return unveil(self.file.read(size))

    def __getattr__(self, name):
        return getattr(self.file, name)


class Part(Proxy):
    """The first bytes of a file, and no more."""

    left = 100

    def read(self, size=-1):
        """As much as is left."""
        data = super().read(min(size, self.left))
        self.left -= len(data)
        return data


class Reader(io.BufferedReader):
    """A reader of Python's own that is derived."""

    def read(self, size=-1, /):
        """Bytes that the disk does not hold."""
        return unveil(super().read(size))


class Raw(io.FileIO):
    """A raw file that is derived, for a buffered one that is not."""

    def readinto(self, buffer, /):
        """Bytes that the disk does not hold."""
        count = super().readinto(buffer)
        buffer[:count] = unveil(buffer[:count])
        return count


def changed(name):
    """An object that was given another ``read``."""
    file = open(name, "rb")
    plain = file.read
    file.read = lambda size=-1: unveil(plain(size))
    return file


def changed_temporary(name):
    """The same around a temporary file."""
    file = temporary(name)
    plain = file.file.read
    file.read = lambda size=-1: unveil(plain(size))
    return file


def temporary(name):
    """A temporary file that was just written."""
    file = tempfile.NamedTemporaryFile()
    with open(name, "rb") as content:
        file.write(content.read())
    file.seek(0)
    return file


def uploaded(name):
    """A file that Django has taken in."""
    file = TemporaryUploadedFile("a", "text/plain", 0, None)
    with open(name, "rb") as content:
        file.write(content.read())
    file.seek(0)
    return file


def packed(name):
    """A file that is unpacked on the way."""
    with open(name, "rb") as content, gzip.open(name + ".gz", "wb") as file:
        file.write(content.read())
    return gzip.open(name + ".gz", "rb")


KINDS = {
    "reader": lambda name: open(name, "rb"),
    "raw": lambda name: io.FileIO(name),
    "random": lambda name: open(name, "r+b"),
    "django": lambda name: File(open(name, "rb")),
    "image": lambda name: ImageFile(open(name, "rb")),
    "around": lambda name: File(File(open(name, "rb"))),
    "temporary": temporary,
    "uploaded": uploaded,
    "packed": packed,
    "veiled": lambda name: Veiled(open(name, "rb")),
    "around_veiled": lambda name: File(Veiled(open(name, "rb"))),
    "diverted": lambda name: Diverted(open(name, "rb")),
    "proxy": lambda name: Proxy(open(name, "rb")),
    "part": lambda name: Part(open(name, "rb")),
    "derived": lambda name: Reader(io.FileIO(name)),
    "derived_raw": lambda name: io.BufferedReader(Raw(name)),
    "changed": changed,
    "changed_temporary": changed_temporary,
}


def application(environ, start_response):
    """The kind of object that the path names, around the file ``content``."""
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return environ["wsgi.file_wrapper"](KINDS[environ["PATH_INFO"][1:]]("content"))


def ranged(environ, start_response):
    """A range of the file ``content``, as werkzeug makes it."""
    file = open("content", "rb")
    wrapped = environ["wsgi.file_wrapper"](file if environ["PATH_INFO"] == "/" else Proxy(file))
    response = Response(wrapped, direct_passthrough=True)
    response.make_conditional(environ, accept_ranges=True, complete_length=os.fstat(file.fileno()).st_size)
    return response(environ, start_response)


def part(environ, start_response):
    """A range of the file ``content`` from where it stands, as WebOb makes it."""
    start, stop, skipped = (int(word) if word else None for word in environ["QUERY_STRING"].split(","))
    file = open("content", "rb")
    file.seek(skipped)
    wrapped = environ["wsgi.file_wrapper"](file if environ["PATH_INFO"] == "/" else Proxy(file), 7)
    start_response("206 Partial Content", [("Content-Type", "application/octet-stream")])
    return wrapped.app_iter_range(start, stop)


def patched(environ, start_response):
    """The file ``content``, as a middleware gives it that wants to know its end."""
    wrapped = environ["wsgi.file_wrapper"](open("content", "rb"))
    close = weakref.ref(wrapped)().close

    def closed():
        with open("closed", "a") as file:
            file.write("closed")
        close()

    wrapped.close = closed
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return wrapped
