"""Installs the server's package `gunicorn` in the environment of this interpreter, with the
program `gunicorn`.
"""

import importlib.metadata
import os
import re
import shutil
import sys
import sysconfig

NAME = "gunicorn"
INSTALLER = "monoceros"
METADATA = """Metadata-Version: 2.1
Name: gunicorn
Version: %s
Summary: The names and the program of gunicorn, served by Monoceros
"""
SCRIPT = """import sys

from gunicorn.app.wsgiapp import run

if __name__ == "__main__":
    sys.exit(run())
"""


class Place:
    """Where the package and its program lie in this environment."""

    def __init__(self):
        self.library = sysconfig.get_path("purelib")
        self.script = os.path.join(sysconfig.get_path("scripts"), NAME)
        self.package = os.path.join(self.library, NAME)

    def distributions(self):
        found = importlib.metadata.distributions(name=NAME, path=[self.library])
        return [it for it in found if it.metadata["Name"]]

    def foreign(self):
        """What is there that this program has not installed; None if there is nothing."""
        known = self.distributions()
        for it in known:
            if (it.read_text("INSTALLER") or "").strip() != INSTALLER:
                return "gunicorn %s" % it.version
        if known:
            return None
        return next((it for it in (self.script, self.package) if os.path.lexists(it)), None)

    def clear(self):
        """Removes what is there."""
        for it in self.distributions():
            # Other programs are among them, such as gunicorn's `gunicornc`.
            for file in it.files or ():
                remove(str(it.locate_file(file)))
            shutil.rmtree(str(it._path), ignore_errors=True)
        if os.path.isdir(self.package) and not os.path.islink(self.package):
            shutil.rmtree(self.package)
        for path in (self.package, self.script):
            remove(path)


def remove(path):
    """Removes a file, if there is one."""
    if os.path.lexists(path):
        os.unlink(path)


def install(modules, program, replaces):
    """Installs `modules`: names, whether they are packages, and sources. `program` is the path
    of the server. Returns what has been done.
    """
    place = Place()
    foreign = place.foreign()
    if foreign and not replaces:
        raise RuntimeError(
            "cannot install the program gunicorn in %s: %s is there; --replace removes it"
            % (sys.prefix, foreign)
        )
    place.clear()
    version = re.search(r'__version__ = "(.*)"', dict((it[0], it[2]) for it in modules)[NAME])[1]
    information = "%s-%s.dist-info" % (NAME, version)
    files = {path_of(name, is_package): source for name, is_package, source in modules}
    files[NAME + "/_program.py"] = '"""The server."""\n\nPROGRAM = %r\n' % program
    files[information + "/METADATA"] = METADATA % version
    files[information + "/INSTALLER"] = INSTALLER + "\n"
    script = os.path.relpath(place.script, place.library)
    names = [*files, script, information + "/RECORD"]
    files[information + "/RECORD"] = "".join("%s,,\n" % name for name in names)
    for name, content in files.items():
        write(os.path.join(place.library, name), content)
    write(place.script, first_lines(sys.executable) + SCRIPT)
    os.chmod(place.script, 0o755)
    replaced = " in place of %s" % foreign if foreign else ""
    return "%s runs %s%s" % (place.script, program, replaced)


def path_of(name, is_package):
    return name.replace(".", "/") + ("/__init__.py" if is_package else ".py")


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)


def first_lines(interpreter):
    """The lines by which the kernel runs a script with an interpreter. The path in them cannot
    have blanks, nor be long (`execve(2)`): then a shell executes the interpreter, for which the
    lines of the shell are a text.
    """
    if len(interpreter) < 120 and not set(interpreter) & set(" \t"):
        return "#!%s\n" % interpreter
    return "#!/bin/sh\n'''exec' \"%s\" \"$0\" \"$@\"\n' '''\n" % interpreter
