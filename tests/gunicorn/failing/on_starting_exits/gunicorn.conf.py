import sys


def on_starting(server):
    sys.exit(9)
