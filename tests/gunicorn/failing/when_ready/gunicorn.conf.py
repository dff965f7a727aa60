def when_ready(server):
    raise RuntimeError("the hook when_ready fails")
