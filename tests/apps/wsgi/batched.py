"""Requests that are quick, but not so quick that their clients stay awake."""

import os
from time import perf_counter
from urllib.parse import parse_qs


def application(environ, start_response):
    """Works a tenth of a millisecond, and waits for the pipe if there is one; the body is the path."""
    end = perf_counter() + 0.0001
    while perf_counter() < end:
        pass
    query = parse_qs(environ["QUERY_STRING"])
    if "pipe" in query:
        with open(query["pipe"][0]) as pipe:
            pipe.read()
    else:
        note = os.open("answered", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(note, (environ["PATH_INFO"] + "\n").encode())
        os.close(note)
    body = environ["PATH_INFO"].encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
