"""Applications that are made by a call with literal arguments."""


def make(*words, **named):
    """An application that answers with the arguments it was made with."""
    text = repr((words, sorted(named.items()))).encode()

    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
        return [text]

    return application


def useless():
    """Returns what cannot be called."""
    return 42


class Application:
    """An instance is an application too; its iterable is itself."""

    def __call__(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "8")])
        return [b"instance"]


class Holder:
    """Holds an application in an attribute of an attribute."""

    inner = Application()


instance = Application()
