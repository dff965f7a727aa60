"""The file whose time is the heartbeat of gunicorn's workers."""

import os
import tempfile
import time


class WorkerTmp:
    def __init__(self, cfg):
        directory = cfg.worker_tmp_dir
        if directory and not os.path.isdir(directory):
            raise RuntimeError("%s doesn't exist. Can't create workertmp." % directory)
        self._file = tempfile.TemporaryFile(prefix="wgunicorn-", dir=directory, buffering=0)

    def notify(self):
        now = time.monotonic()
        os.utime(self.fileno(), (now, now))

    def last_update(self):
        return os.fstat(self.fileno()).st_mtime

    def fileno(self):
        return self._file.fileno()

    def close(self):
        self._file.close()
