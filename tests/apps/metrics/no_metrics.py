"""An application that does not count, and shows what it finds."""

import os
import sys


def application(environ, start_response):
    found = [
        os.environ.get("PROMETHEUS_MULTIPROC_DIR", "not set"),
        "imported" if "prometheus_client" in sys.modules else "not imported",
    ]
    start_response("200 OK", [])
    return [" ".join(found).encode()]
