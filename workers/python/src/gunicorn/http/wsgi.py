"""Classes and constants of responses, by name."""

from gunicorn import SERVER, SERVER_SOFTWARE  # noqa: F401: found here too


class FileWrapper:
    """Reads a file in blocks: what `wsgi.file_wrapper` of WSGI returns (PEP 3333)."""

    def __init__(self, filelike, blksize=8192):
        self.filelike = filelike
        self.blksize = blksize
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __getitem__(self, key):
        block = self.filelike.read(self.blksize)
        if block:
            return block
        raise IndexError


class Response:
    """The class of the responses that hooks get."""
