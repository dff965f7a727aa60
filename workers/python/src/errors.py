"""`wsgi.errors`: the error log as a text stream such as `sys.stderr`.

The log belongs to the server: `close` only flushes the buffered text.
"""

import io
import os


class ErrorBytes(io.RawIOBase):
    """The byte stream below the text stream."""

    name = "<error log>"
    mode = "wb"

    def __init__(self, log):
        self._log = log

    def writable(self):
        return True

    def fileno(self):
        return self._log.fileno()

    def isatty(self):
        return os.isatty(self._log.fileno())

    def write(self, data, /):
        with memoryview(data) as view:
            return self._log.write(view.tobytes())

    def flush(self):
        self._log.flush()

    def close(self):
        self.flush()


class ErrorStream(io.TextIOWrapper):
    """The text stream. The byte stream below writes whole lines."""

    mode = "w"
    # Each line is written when it has its end. To flush with it would end the one behind it.
    line_buffering = True

    def __init__(self, log):
        super().__init__(
            ErrorBytes(log),
            encoding="utf-8",
            errors="backslashreplace",
            write_through=True,
        )

    def close(self):
        self.flush()

    def detach(self):
        raise io.UnsupportedOperation("the error log is the server's")
