"""The application of the configuration files."""


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"abc"]


def create_app(name="shop"):
    return app


def initialize(server):
    from record import note

    note("when_ready", by="dotted", pid=isinstance(server.pid, int))
