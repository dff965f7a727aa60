"""The logger that gunicorn takes when `statsd_host` is set. The server sends the figures."""

from gunicorn.glogging import Logger


class Statsd(Logger):
    """The name, for what is derived from it."""
