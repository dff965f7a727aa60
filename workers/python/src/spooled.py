"""`wsgi.input` of a body that was too large for memory."""

import io
import os


class SpooledBody(io.RawIOBase):
    """Reads the first `length` bytes of the file that `owner` keeps open.

    The file may hold more, of earlier requests. It has no fileno() for that
    reason, like io.BytesIO.
    """

    def __init__(self, owner, fd, length):
        self._owner = owner
        self._fd = fd
        self._length = length
        self._at = 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def readinto(self, buffer):
        left = self._length - self._at
        if left <= 0:
            return 0
        count = os.preadv(self._fd, [memoryview(buffer).cast("B")[:left]], self._at)
        self._at += count
        return count

    def seek(self, offset, whence=os.SEEK_SET):
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        if start + offset < 0:
            raise ValueError("negative seek value %d" % offset)
        self._at = start + offset
        return self._at

    def tell(self):
        return self._at
