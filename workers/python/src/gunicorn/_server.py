"""Becomes the server: for an environment in which `monoceros install-gunicorn-shim` has
installed this package as gunicorn.
"""

import os
import sys

from gunicorn import __version__


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
