from gunicorn.errors import AppImportError


def post_fork(server, worker):
    raise AppImportError("the hook post_fork_of_application fails")
