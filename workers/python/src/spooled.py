"""`wsgi.input` for a body that was too large for memory."""

import io


class SpooledBody(io.BufferedIOBase):
    """Reads the body in `file`, and not beyond its end.

    Like io.BytesIO it has no fileno(): the file may have more bytes, of earlier
    requests.
    """

    def __init__(self, file):
        self._file = file

    def readable(self):
        return True

    def seekable(self):
        return True

    def read(self, size=-1, /):
        return self._file.read(size)

    def read1(self, size=-1, /):
        return self._file.read(size)

    def readline(self, size=-1, /):
        return self._file.readline(size)

    def seek(self, offset, whence=io.SEEK_SET, /):
        return self._file.seek(offset, whence)

    def tell(self):
        return self._file.tell()

    def close(self):
        self._file.close()
        super().close()
