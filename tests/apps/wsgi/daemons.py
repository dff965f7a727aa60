"""A request that leaves a process behind."""

import subprocess


def application(environ, start_response):
    """Starts a process whose parent ends at once; the answer is its number."""
    command = "sleep 1000 >/dev/null 2>&1 & echo $!"
    body = subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout.strip()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
