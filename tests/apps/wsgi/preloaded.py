"""What was made at import, and what each worker has of its own."""

import json
import os
import random

# The same in all workers that were forked from one import.
TOKEN = random.random()


def note(name: str):
    """Returns a function that writes who calls it into a file."""

    def write():
        with open(name, "a") as file:
            file.write(f"{os.getpid()}\n")

    return write


os.register_at_fork(
    before=note("before"), after_in_parent=note("after_in_parent"), after_in_child=note("after_in_child")
)


def application(environ, start_response):
    """Tells all that; ``/error`` writes a line to the error log."""
    if environ["PATH_INFO"] == "/error":
        environ["wsgi.errors"].write("said by the application\n")
    told = {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "token": TOKEN,
        "random": random.random(),
        "slot": os.environ["MONOCEROS_SLOT"],
        "generation": os.environ["MONOCEROS_GENERATION"],
        "private": [name for name in os.environ if name.startswith(("LISTEN_", "MONOCEROS_"))],
    }
    body = json.dumps(told).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
