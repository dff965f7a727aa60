def on_starting(server):
    raise RuntimeError("the hook on_starting fails")
