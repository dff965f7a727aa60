def post_worker_init(worker):
    raise RuntimeError("the hook post_worker_init fails")
