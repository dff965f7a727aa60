workers = 2
timeout = 90


def set_defaults(names):
    names.update(worker_connections=77, proc_name="from defaults")
    names.setdefault("timeout", 1)
