import multiprocessing

bind = "0.0.0.0:5000"
workers = 2 if multiprocessing.cpu_count() else 1
worker_class = "gevent"
worker_connections = 500
proc_name = "shop"
accesslog = "-"


def post_fork(server, worker):
    server.log.info("worker %s", worker.pid)
