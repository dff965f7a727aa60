def pre_fork(server, worker):
    raise RuntimeError("the hook pre_fork fails")
