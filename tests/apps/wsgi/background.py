"""What runs beside requests: threads, and handlers of signals."""

import json
import os
import signal
import threading
import time

ticks = 0
alarms = []


def tick():
    """Counts for as long as the process lives."""
    global ticks
    while True:
        ticks += 1
        time.sleep(0.001)


threading.Thread(target=tick, daemon=True).start()


def ring(number, frame):
    """Notes on which thread the alarm was heard."""
    alarms.append(threading.current_thread() is threading.main_thread())


if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGALRM, ring)


def application(environ, start_response):
    """``/alarm`` sets the alarm; any path tells the counts.

    ``/spin`` waits within the request, in Python, until the thread has counted
    on; ``/ring`` until the alarm has been heard.
    """
    path, before = environ["PATH_INFO"], ticks
    if path == "/alarm":
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    if path == "/ring":
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        while not alarms:
            time.sleep(0.001)
    while path == "/spin" and ticks < before + 3:
        pass
    body = json.dumps({"ticks": ticks, "alarms": alarms, "pid": os.getpid()}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
