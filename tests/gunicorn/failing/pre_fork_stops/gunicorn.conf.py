def pre_fork(server, worker):
    raise StopIteration
