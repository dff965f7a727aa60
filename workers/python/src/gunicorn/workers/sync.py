"""The class of gunicorn's workers `sync`, by name."""

from gunicorn.workers.base import Worker


class SyncWorker(Worker):
    """One thread that has one request at a time."""
