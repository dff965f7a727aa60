"""The class of gunicorn's workers `gthread`, by name."""

from gunicorn.workers.base import Worker


class ThreadWorker(Worker):
    """Several threads with one request each."""
