"""The exceptions that a program which embeds gunicorn catches."""


class HaltServer(BaseException):
    """The server has to end, with this exit status."""

    def __init__(self, reason, exit_status=1):
        super().__init__(reason, exit_status)
        self.reason = reason
        self.exit_status = exit_status

    def __str__(self):
        return "<HaltServer %r %d>" % (self.reason, self.exit_status)


class ConfigError(Exception):
    """The settings cannot be used."""


class AppImportError(Exception):
    """The application is not where its name points to, or cannot be called."""
