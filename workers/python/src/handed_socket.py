"""The socket of a client's connection, for an application that takes it over.

The environ has it as soon as the client asks for another protocol. The connection belongs to
the server until the application uses the socket: a debugger, or a copy of the environ, does
not take it.
"""

import socket
from _thread import allocate_lock

lock = allocate_lock()

# How long a library that still has the socket may take to close it, in seconds: its thread may
# be about to send the last frame.
LAST_FRAME = 1


class HandedSocket(socket.socket):
    """The socket of a connection that belongs to the application."""

    __slots__ = ("_names", "_offer", "_use")

    def getpeername(self):
        names = getattr(self, "_names", None)
        return names[0] if names else super().getpeername()

    def getsockname(self):
        names = getattr(self, "_names", None)
        return names[1] if names else super().getsockname()

    def _real_close(self, *rest):
        super()._real_close(*rest)
        # A copy (`dup`) has no offer.
        offer = getattr(self, "_offer", None)
        if offer is not None:
            offer.end()
            if self._use.locked():
                self._use.release()


class OfferedSocket(HandedSocket):
    """The same before the application has used it."""

    __slots__ = ()

    def __new__(cls, offer):
        return super().__new__(cls)

    def __init__(self, offer):
        self._offer = offer
        # Held until the socket is closed.
        use = allocate_lock()
        use.acquire()
        self._use = use

    def __getattribute__(self, name):
        if not name.startswith("__"):
            take(self)
        return object.__getattribute__(self, name)

    def __repr__(self):
        return "<the socket of the client's connection, which the application has not used>"


def take(offered):
    """Gives the connection to the application, and makes this its socket."""
    with lock:
        if type(offered) is not OfferedSocket:
            return
        offer = object.__getattribute__(offered, "_offer")
        number, names = offer.take()
        offered.__class__ = HandedSocket
        offered._names = names
        socket.socket.__init__(offered, fileno=number)
        # Also with `socket.setdefaulttimeout`, as the sockets of gunicorn.
        offered.setblocking(True)


def end(offered, is_used):
    """Closes the socket of a connection that was taken: its request is over.

    `is_used` is set if the application still has it.
    """
    if type(offered) is HandedSocket:
        if is_used:
            offered._use.acquire(timeout=LAST_FRAME)
        offered.close()
