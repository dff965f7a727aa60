"""Wraps Python's functions that start a program without `fork(3)` of the C library."""

import functools
import os
import sys

import _posixsubprocess


def give_limit_back(former_limit):
    """Makes these functions start programs within ``former_limit()``."""

    def under_former_limit(start):
        @functools.wraps(start)
        def started(*args, **kwargs):
            with former_limit():
                return start(*args, **kwargs)

        return started

    fork_exec = _posixsubprocess.fork_exec
    _posixsubprocess.fork_exec = under_former_limit(fork_exec)
    # An imported `subprocess` has a reference of its own.
    subprocess = sys.modules.get("subprocess")
    if getattr(subprocess, "_fork_exec", None) is fork_exec:
        subprocess._fork_exec = _posixsubprocess.fork_exec
    os.posix_spawn = under_former_limit(os.posix_spawn)
    os.posix_spawnp = under_former_limit(os.posix_spawnp)
