"""Notes of hooks, one line each: the tests compare those of gunicorn with the server's."""

import json
import os


def note(hook, worker=None, **facts):
    line = {"pid": os.getpid(), "hook": hook, "facts": facts}
    if worker is not None:
        line["age"] = worker.age
    # One call for each line: lines of several processes do not mix.
    descriptor = os.open("notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(descriptor, json.dumps(line, default=str).encode() + b"\n")
    os.close(descriptor)
