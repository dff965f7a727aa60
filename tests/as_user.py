"""Runs test programs as a user without privileges; for root.

    cargo test --no-run --message-format=json | python3 tests/as_user.py

The programs are those that Cargo names on standard input, so nothing is compiled
twice. Each runs in the directory of its package, as Cargo has it. Where the user
may not enter a directory on the way to them, such as root's home, an empty one
that has nothing but them takes its place, for this process and its children.
"""

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# nobody, on Debian and elsewhere.
USER = {"user": 65534, "group": 65534, "extra_groups": []}
# unshare(2)
CLONE_NEWNS = 0x20000


def programs(messages):
    """The test programs with the directories of their packages."""
    for message in map(json.loads, messages):
        is_test = message.get("profile", {}).get("test")
        if message["reason"] == "compiler-artifact" and is_test and message["executable"]:
            yield message["executable"], os.path.dirname(message["manifest_path"])


def is_reached(path, what="-r"):
    """Whether the user can read, or execute, what is behind a path."""
    return subprocess.run(["/usr/bin/test", what, path], cwd="/", **USER).returncode == 0


def closed(path):
    """The first directory on the way to a path that the user may not enter."""
    parts = path.strip("/").split("/")
    way = ["/" + "/".join(parts[:count]) for count in range(len(parts))]
    return next((directory for directory in way if not is_reached(directory, "-x")), None)


def open_way(paths):
    """Makes directories reachable for the user, and for no other process."""
    covered = {closed(path) for path in paths} - {None}
    if not covered:
        return
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        reason = os.strerror(ctypes.get_errno())
        sys.exit(f"the user may not enter {min(covered)}, and it cannot be covered: {reason}")
    mount = lambda *words: subprocess.run(["mount", *words], check=True)
    mount("--make-rprivate", "/")
    places = [tempfile.mkdtemp() for _ in paths]
    for path, place in zip(paths, places):
        mount("--bind", path, place)
    for directory in covered:
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", directory)
    for path, place in zip(paths, places):
        os.makedirs(path, exist_ok=True)
        mount("--move", place, path)
        os.rmdir(place)


def main():
    """Runs everything; the exit status is 1 if a test has failed."""
    if os.geteuid() != 0:
        sys.exit("only root can become another user; as an ordinary user: make test")
    tests = list(programs(sys.stdin))
    if not tests:
        sys.exit("no test program was named")
    target = os.path.dirname(os.path.dirname(os.path.dirname(tests[0][0])))
    python = os.path.join(target, "tests/venv/bin/python")
    open_way([ROOT] if target.startswith(ROOT + "/") else [ROOT, target])
    if not is_reached(python, "-x"):
        real = os.path.realpath(python)
        sys.exit(f"the user may not execute {real}: name one for all with make PYTHON=/usr/bin/python3")
    path = [it for it in os.environ["PATH"].split(":") if it and is_reached(it, "-x")]
    home = tempfile.mkdtemp(prefix="monoceros-home-")
    os.chown(home, USER["user"], USER["group"])
    skipped = os.path.join(home, "skipped")
    environment = {"PATH": ":".join(path), "HOME": home, "SKIPPED_TESTS": skipped}
    failed = []
    for executable, directory in tests:
        print("as an ordinary user:", os.path.relpath(executable, target), flush=True)
        run = subprocess.run([executable, *sys.argv[1:]], cwd=directory, env=environment, **USER)
        if run.returncode != 0:
            failed.append(executable)
    lines = sorted(open(skipped)) if os.path.exists(skipped) else []
    print("".join(lines), len(lines), " tests were skipped as an ordinary user", sep="")
    shutil.rmtree(home)
    sys.exit(f"failed: {' '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
