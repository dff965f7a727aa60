import sys


def pre_fork(server, worker):
    sys.exit()
