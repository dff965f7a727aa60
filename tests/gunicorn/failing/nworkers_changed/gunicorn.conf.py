def nworkers_changed(server, new, old):
    raise RuntimeError("the hook nworkers_changed fails")
