from record import note


def pre_request(worker, req):
    worker.log.debug("%s %s", req.method, req.path)
    req.mark = len(req.headers)


def post_request(worker, req):
    note("post_request", path=req.path, mark=req.mark)


def post_worker_init(worker):
    note("post_worker_init", worker)


def child_exit(server, worker):
    note("child_exit", worker)
