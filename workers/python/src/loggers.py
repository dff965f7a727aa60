"""The loggers of gunicorn, through which many applications log:

    log = logging.getLogger("gunicorn.error")
    app.logger.handlers = log.handlers
    app.logger.setLevel(log.level)

They are made as soon as `logging` is imported, before another module can use it. An
application without `logging` needs no memory for it.
"""

import sys

NAMES = "gunicorn.error", "gunicorn.access"


class Watch:
    """A finder in front of the others, until `logging` is imported."""

    def __init__(self, then):
        self.then = then

    def find_spec(self, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                spec.loader = Loader(spec.loader, self.then)
                return spec
        return None


class Loader:
    """Loads a module by another loader, and then calls a function with it."""

    def __init__(self, loader, then):
        self.loader = loader
        self.then = then

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        self.then(module)


def prepare(stream, write, level):
    """Makes the loggers, now or when `logging` is imported.

    `stream` is the error log. `write` writes a record to it: the number of a level, the name of
    a logger, a message, and a traceback or None. `level` is the name of the lowest level that
    is logged. Returns a function that sets another one.
    """
    loggers = []

    def printable(text):
        # A str may have surrogates, which UTF-8 does not have.
        return text.encode("utf-8", "backslashreplace").decode("utf-8")

    def make(logging):
        class Handler(logging.StreamHandler):
            """Writes records to the error log, unless the application sets another stream."""

            def emit(self, record):
                if self.stream is not stream:
                    return super().emit(record)
                try:
                    message, traceback = self.format(record), None
                    if record.exc_text or record.stack_info:
                        own = record.getMessage()
                        if message.startswith(own + "\n"):
                            message, traceback = own, printable(message[len(own) + 1 :])
                    write(record.levelno, printable(record.name), printable(message), traceback)
                except Exception:
                    self.handleError(record)

        handler = Handler(stream)
        for name in NAMES:
            logger = logging.getLogger(name)
            logger.addHandler(handler)
            logger.setLevel(level)
            logger.propagate = False
            loggers.append(logger)

    def set_level(name):
        nonlocal level
        level = name
        for logger in loggers:
            logger.setLevel(name)

    if "logging" in sys.modules:
        make(sys.modules["logging"])
    else:
        sys.meta_path.insert(0, Watch(make))
    return set_level
