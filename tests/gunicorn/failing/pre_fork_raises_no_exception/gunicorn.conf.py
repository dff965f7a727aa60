def pre_fork(server, worker):
    raise GeneratorExit("the hook pre_fork_raises_no_exception fails")
