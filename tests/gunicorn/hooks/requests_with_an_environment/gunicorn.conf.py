from record import note


def post_request(worker, req, environ):
    note("post_request", path=environ["PATH_INFO"], query=environ["QUERY_STRING"])
    raise ValueError("this does not concern the client")


def post_worker_init(worker):
    note("post_worker_init", worker)


def child_exit(server, worker):
    note("child_exit", worker)
