"""Counts how often ``close`` is called, in a file that the tests can read."""

import os

COUNT = os.path.join(os.getcwd(), "closed")


class Body:
    """A body that notes its end."""

    def __init__(self, pieces):
        self._pieces = iter(pieces)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._pieces)

    def close(self):
        """One line for each call."""
        with open(COUNT, "a") as file:
            file.write("closed\n")


def raising():
    """One piece, then an exception."""
    yield b"piece"
    raise ValueError("raised while iterating")


def endless():
    """Pieces until nobody listens."""
    while True:
        yield bytes(65536)


BY_PATH = {
    "/whole": lambda: [b"one", b"two"],
    "/empty": list,
    "/raising": raising,
    "/endless": endless,
    "/text": lambda: ["no bytes"],
}


def application(environ, start_response):
    """A body for each way in which one can end."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Body(BY_PATH[environ["PATH_INFO"]]())
