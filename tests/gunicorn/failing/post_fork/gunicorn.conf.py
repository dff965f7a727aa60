def post_fork(server, worker):
    raise RuntimeError("the hook post_fork fails")
