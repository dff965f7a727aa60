"""The key that signs sessions and forms: made once for each installation."""

import os
import secrets
import tempfile
from pathlib import Path


def secret_key(path: Path) -> str:
    """Returns the key in ``path``, after making one if there is none yet.

    The file appears whole or not at all: two processes that start together
    must not sign with different keys.
    """
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=path.parent) as draft:
            draft.write(secrets.token_urlsafe(50))
            draft.flush()
            try:
                os.link(draft.name, path)
            except FileExistsError:
                pass
    return path.read_text()
