from record import note

workers = 2


def kinds(server):
    return {"alive": all(it.alive for it in server.WORKERS.values()), "proc_name": server.proc_name,
            "num_workers": server.num_workers, "cfg": server.cfg.workers, "app": server.app is not None}


def on_starting(server):
    note("on_starting", workers=len(server.WORKERS), listeners=len(server.LISTENERS), **kinds(server))
    server.seen = ["on_starting"]


def when_ready(server):
    server.seen.append("when_ready")
    note("when_ready", seen=server.seen, workers=len(server.WORKERS), listeners=len(server.LISTENERS))


def on_reload(server):
    server.seen.append("on_reload")
    note("on_reload", seen=server.seen, workers=len(server.WORKERS), **kinds(server))


def nworkers_changed(server, new_value, old_value):
    note("nworkers_changed", new=new_value, old=old_value, num_workers=server.num_workers)


def on_exit(server):
    note("on_exit", seen=server.seen, workers=len(server.WORKERS))


def pre_exec(server):
    note("pre_exec")


def pre_fork(server, worker):
    note("pre_fork", worker, pid=worker.pid, booted=worker.booted, alive=worker.alive,
         nr=worker.nr, aborted=worker.aborted, most=worker.max_requests)
    worker.parts = ["pre_fork"]


def post_fork(server, worker):
    import os

    worker.parts.append("post_fork")
    note("post_fork", worker, own=worker.pid == os.getpid(), parent=worker.ppid == server.pid,
         parts=worker.parts, timeout=worker.timeout, seen=server.seen[0])


def post_worker_init(worker):
    worker.parts.append("post_worker_init")
    note("post_worker_init", worker, parts=worker.parts, wsgi=callable(worker.wsgi),
         same=worker.wsgi is worker.app.callable, sockets=len(worker.sockets),
         threads=worker.cfg.threads, connections=worker.cfg.worker_connections)


def worker_int(worker):
    note("worker_int", worker)


def worker_abort(worker):
    note("worker_abort", worker)


def worker_exit(server, worker):
    note("worker_exit", worker, parts=worker.parts)


def child_exit(server, worker):
    note("child_exit", worker, parts=worker.parts, gone=worker.pid not in server.WORKERS)


def pre_request(worker, req):
    req.parts = ["pre_request"]
    note("pre_request", path=req.path, parts=worker.parts)


def post_request(worker, req, environ, resp):
    note("post_request", parts=req.parts, status=resp.status, path=environ["PATH_INFO"])
