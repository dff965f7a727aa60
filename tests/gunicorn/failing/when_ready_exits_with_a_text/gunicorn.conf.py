import sys


def when_ready(server):
    sys.exit("the hook when_ready_exits_with_a_text fails")
