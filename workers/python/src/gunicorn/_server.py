"""Becomes the server: for an environment in which `monoceros install-gunicorn-shim` has
installed this package as gunicorn.
"""

import json
import os
import sys

from gunicorn import __version__

# The variable with the words of the program that is run again.
VARIABLE = "GUNICORN_PROGRAM"
# The variable with more words of a command line of gunicorn.
ARGUMENTS = "GUNICORN_CMD_ARGS"


def program():
    """The server's program. A RuntimeError if this process is not to become the server."""
    if hasattr(sys.modules.get("monoceros"), "run_worker"):
        raise RuntimeError("cannot start a server: this process belongs to one that runs")
    try:
        from gunicorn._program import PROGRAM
    except ImportError:
        raise RuntimeError(
            "cannot start a server: monoceros install-gunicorn-shim has not installed this package"
        ) from None
    return PROGRAM


def become(words):
    """Executes the server with these words of a command line."""
    path = program()
    if words[:1] in (["-v"], ["--version"]):
        print("gunicorn (version %s)" % __version__)
        sys.exit(0)
    sys.stdout.flush()
    try:
        # Behind a flag no word is a command of the server's program.
        os.execv(path, [path, "--python", sys.executable, *words])
    except OSError as error:
        raise RuntimeError("cannot execute %s: %s" % (path, error.strerror)) from error


def serve(app):
    """Executes the server for a program that calls `run()` of its application: the server
    runs the program again, up to here.
    """
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if not hasattr(main, "__file__"):
        raise RuntimeError("cannot start a server from a program that is no file")
    words = {
        "module": spec.name if spec else None,
        "file": os.path.abspath(main.__file__),
        "path": sys.path[0],
        "argv": [sys.argv[0], *original_words()],
        # Whether it counts is for the program: the settings that it makes are all.
        "arguments": os.environ.pop(ARGUMENTS, None),
    }
    os.environ[VARIABLE] = json.dumps(words)
    become(["--config", "python:gunicorn._embedded"])


def original_words():
    """The words of the command line behind the program, whatever it has changed in sys.argv."""
    words = sys.orig_argv[1:]
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option[-1] in "WX":
            words.pop(0)
        if option[-1] == "m":
            break
    return words[1:]
