"""What hooks do that no file has set: nothing."""


def one(server):
    pass


def two(server, worker):
    pass


def three(server, new_value, old_value):
    pass


def four(worker, req, environ, resp):
    pass


def pre_request(worker, req):
    worker.log.debug("%s %s", req.method, req.path)


def default_context(config, default_ssl_context_factory):
    return default_ssl_context_factory()


SPECIAL = {"pre_request": pre_request, "ssl_context": default_context}
BY_ARITY = {1: one, 2: two, 3: three, 4: four}


def default(title, name, arity):
    """The hook of a setting that no file has set; it is shown by its qualified name."""
    template = SPECIAL.get(name) or BY_ARITY[arity]
    hook = type(template)(template.__code__, globals(), name)
    hook.__module__ = "gunicorn.config"
    hook.__qualname__ = "%s.%s" % (title, name)
    return hook
