# Each worker has a number that is free again when the worker has ended.
import multiprocessing

from record import note

workers = 2


def on_starting(server):
    server.free = set()
    server.count = multiprocessing.Value("i", 0)


def nworkers_changed(server, new_value, old_value):
    server.known = new_value


def pre_fork(server, worker):
    worker.number = server.free.pop() if server.free else len(server.WORKERS) + 1
    worker.busy = multiprocessing.Value("i", 0)
    server.total = getattr(server, "total", 0) + 1
    note("pre_fork", worker, total=server.total)


def post_fork(server, worker):
    with server.count.get_lock():
        server.count.value += 1
    worker.busy.value = worker.age
    note("post_fork", worker, total=server.total)


def child_exit(server, worker):
    server.free.add(worker.number)
    note("child_exit", worker, busy=worker.busy.value)


def on_exit(server):
    note("on_exit", count=server.count.value, total=server.total, known=server.known)


def post_worker_init(worker):
    note("post_worker_init", worker)
