"""Health check of the container: does the application answer a request?

    health.py [PATH]

It asks the first address of MONOCEROS_BIND for PATH ("/"), as a browser with the
host name HEALTH_HOST ("localhost") would. Every status below 500 will do: a page
that is not found, or is for other host names, shows as well that requests are
answered. Exit status 0 if so, else 1 with the reason, which the engine keeps.
"""

import http.client
import os
import shlex
import socket
import sys

# Shorter than the --timeout of HEALTHCHECK, so that the reason is known.
PATIENCE = 5.0


class Connection(http.client.HTTPConnection):
    """A connection to an address as the setting ``bind`` has it."""

    def __init__(self, address):
        super().__init__(os.environ.get("HEALTH_HOST", "localhost"), timeout=PATIENCE)
        self.address = address

    def connect(self):
        """Connects to the address instead of the host."""
        if self.address.startswith("unix:"):
            path = self.address.removeprefix("unix:")
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(PATIENCE)
            # A name of the abstract namespace begins with @: unix(7).
            self.sock.connect("\0" + path[1:] if path.startswith("@") else path)
        else:
            host, _, port = self.address.rpartition(":")
            host = host.strip("[]")
            every = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
            self.sock = socket.create_connection((every.get(host, host), port), PATIENCE)


def check(path):
    """Raises what is wrong, or returns the status."""
    address = shlex.split(os.environ.get("MONOCEROS_BIND", "127.0.0.1:8000"))[0]
    connection = Connection(address)
    connection.request("GET", path, headers={"User-Agent": "health check"})
    status = connection.getresponse().status
    if status >= 500:
        raise OSError(f"{address}{path} answers {status}")
    return status


if __name__ == "__main__":
    try:
        print(check(sys.argv[1] if len(sys.argv) > 1 else "/"))
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"unhealthy: {error or type(error).__name__}")
