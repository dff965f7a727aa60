import time

from record import note

workers = 1


def pre_request(worker, req):
    req.begun = time.monotonic()
    req.headers.append(("X-ADDED", "by the hook"))
    names = [name for name, _ in req.headers]
    note("pre_request", method=req.method, uri=req.uri, path=req.path, query=req.query, version=req.version,
         names=names, fragment=req.fragment, nr=worker.nr)


def post_request(worker, req, environ, resp):
    note("post_request", took=time.monotonic() >= req.begun, status=resp.status, code=resp.status_code,
         headers=resp.headers, sent=resp.sent, added=environ["HTTP_X_ADDED"], nr=worker.nr,
         length=resp.response_length, has_head=resp.headers_sent)


def post_worker_init(worker):
    note("post_worker_init", worker)


def child_exit(server, worker):
    note("child_exit", worker)
