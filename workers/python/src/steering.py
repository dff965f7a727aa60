"""The attributes by which hooks steer a worker: alive, nr and max_requests of its object."""

import math
import sys

# The largest number of requests that the server counts to.
MOST = 0xFFFFFFFF


class Steered:
    """What the object of a worker is as well, from the moment when the worker is about to serve.

    The values are those of gunicorn. Writing takes effect: the server replaces the worker when
    `alive` becomes False, and when `nr` reaches `max_requests`.
    """

    @property
    def alive(self):
        return self._steering.is_alive()

    @alive.setter
    def alive(self, value):
        if not value:
            self._steering.retire()

    @property
    def nr(self):
        return self._steering.requests() + self._uncounted

    @nr.setter
    def nr(self, value):
        self._uncounted = value - self._steering.requests()
        allot(self)

    @property
    def max_requests(self):
        return self._max_requests

    @max_requests.setter
    def max_requests(self, value):
        self._max_requests = value
        allot(self)


def allot(worker):
    """Sends the number of requests after which the worker is replaced."""
    left = worker._max_requests - worker._uncounted
    worker._steering.allot(None if left > MOST else max(1, math.ceil(left)))


def steer(worker, steering):
    """Gives the worker's object its attributes; what hooks have set of them before counts."""
    kind, given = type(worker), worker.__dict__
    alive, most = given.pop("alive", True), given.pop("max_requests", sys.maxsize)
    worker._steering = steering
    worker._uncounted = given.pop("nr", 0)
    worker._max_requests = most
    worker.__class__ = type(kind.__name__, (Steered, kind), {"__module__": kind.__module__})
    if worker._uncounted or most != (worker.cfg.max_requests or sys.maxsize):
        allot(worker)
    if not alive:
        worker.alive = False
