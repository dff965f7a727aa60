# Settings of the file in hooks of the worker, and its log.
from record import note

workers = 1
threads = 2
timeout = 20
raw_env = ["SHOP=books"]


def post_worker_init(worker):
    import os

    worker.log.info("worker %s", worker.pid)
    note("post_worker_init", worker, threads=worker.cfg.threads, timeout=worker.timeout, shop=os.environ["SHOP"],
         workers=worker.cfg.workers, ssl=worker.cfg.is_ssl, bind=worker.cfg.settings["worker_connections"].get())


def worker_exit(server, worker):
    note("worker_exit", worker, workers=server.cfg.workers)


def child_exit(server, worker):
    note("child_exit", worker)
