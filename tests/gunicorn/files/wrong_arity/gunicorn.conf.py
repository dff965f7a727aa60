def post_fork(worker):
    pass
