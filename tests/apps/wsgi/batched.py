"""Requests that are quick, but not so quick that their clients stay awake."""

import os
from time import perf_counter
from urllib.parse import parse_qs


class Behind:
    """A body behind which there is more to be done."""

    def __init__(self, body, pipe):
        self._pieces = iter([body])
        self._pipe = pipe

    def __iter__(self):
        return self._pieces

    def close(self):
        """Waits for the pipe."""
        wait(self._pipe)


def wait(path):
    """Waits until the pipe's writer is gone."""
    with open(path) as pipe:
        pipe.read()


def application(environ, start_response):
    """Works a tenth of a millisecond, and waits for the pipe if there is one; the body is the path."""
    end = perf_counter() + 0.0001
    while perf_counter() < end:
        pass
    path = environ["PATH_INFO"]
    body = path.encode()
    query = parse_qs(environ["QUERY_STRING"])
    answer = [body]
    if path == "/behind":
        answer = Behind(body, query["pipe"][0])
    elif "pipe" in query:
        wait(query["pipe"][0])
    else:
        note = os.open("answered", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(note, (path + "\n").encode())
        os.close(note)
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return answer
