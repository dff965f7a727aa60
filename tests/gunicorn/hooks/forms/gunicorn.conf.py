# A dotted string, a partial, a lambda, an imported function, an assignment below a condition.
from functools import partial

from others import imported
from record import note

when_ready = "application.initialize"
on_starting = lambda server: note("on_starting", by="lambda")
post_fork = imported


def _init(text, worker):
    body = worker.wsgi({"PATH_INFO": "/"}, lambda status, headers: None)
    note("post_worker_init", worker, text=text, body=[it.decode() for it in body])


post_worker_init = partial(_init, "partial")

if post_fork:
    worker_exit = imported


def child_exit(server, worker):
    note("child_exit", worker)
