"""Where things are: the checkout, what was built, and what may be thrown away."""

from __future__ import annotations

import os
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent.parent
APPS = BENCH / "apps"
WRK_SCRIPTS = BENCH / "wrk"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve()
SCRATCH = TARGET / "bench"
ACCESS_LOG = SCRATCH / "access.log"
VENVS = SCRATCH / "venvs"
RUST = SCRATCH / "rust"
FLOOR = RUST / "release" / "bench-floor"
CLIENT = RUST / "release" / "bench-load"
DATABASE = RUST / "release" / "bench-database"
MONOCEROS = TARGET / "release" / "monoceros"


def shown(text: str) -> str:
    """The text with paths as a reader of the checkout would write them."""
    return text.replace(str(TARGET), "target").replace(str(ROOT) + "/", "")
