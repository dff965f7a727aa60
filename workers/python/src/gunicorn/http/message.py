"""Classes and limits of requests, by name."""

MAX_REQUEST_LINE = 8190
MAX_HEADERS = 32768
DEFAULT_MAX_HEADERFIELD_SIZE = 8190


class Message:
    """What requests have in common."""


class Request(Message):
    """The class of the requests that hooks get."""
