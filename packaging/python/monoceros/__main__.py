"""Becomes the program that was installed together with this file."""

import os
import sys
from importlib.metadata import PackageNotFoundError, files


def find():
    """The path of the program: what the installer has recorded, if it is there."""
    try:
        recorded = files("monoceros") or []
    except PackageNotFoundError:
        recorded = []
    programs = [str(it.locate()) for it in recorded if it.parts[-2:] == ("bin", "monoceros")]
    # The directory above may be a link, and is not to be followed.
    programs = [os.path.normpath(path) for path in programs]
    return next((path for path in programs if os.access(path, os.X_OK)), None)


def main():
    """Executes it, with this interpreter for its workers unless it is told otherwise."""
    program = find()
    if program is None:
        sys.exit(f"cannot find the program that belongs to {__file__}: install monoceros again")
    if sys.executable:
        os.environ["MONOCEROS_CALLER"] = sys.executable
    try:
        os.execv(program, [program, *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"cannot execute {program}: {error.strerror}")


if __name__ == "__main__":
    main()
