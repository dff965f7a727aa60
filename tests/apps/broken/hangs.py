"""Hangs while it is imported: nobody ever writes into the pipe."""

import os

try:
    os.mkfifo("never")
except FileExistsError:
    pass
with open("importing", "a") as note:
    note.write(f"{os.getpid()}\n")
open("never").read()
