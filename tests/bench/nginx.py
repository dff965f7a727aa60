"""nginx as a peer of HTTPS: static files of the same content as the applications' responses."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import certificate
import environments
import places
from scenarios import EDGE

HINT = "on Debian: sudo apt-get install nginx-light"
DIRECTORY = places.SCRATCH / "nginx"

CONFIGURATION = """\
{user}
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{
    worker_connections 4096;
}}
http {{
    access_log off;
    client_body_temp_path {directory}/client_body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    default_type text/plain;
    sendfile on;
    tcp_nodelay on;
    keepalive_requests 100000000;
    # Files are not opened for each request.
    open_file_cache max=16;
    open_file_cache_valid 1h;
    ssl_protocols TLSv1.2 TLSv1.3;
    server {{
        listen 127.0.0.1:{port} ssl backlog=2048;
        ssl_certificate {certfile};
        ssl_certificate_key {keyfile};
        root {directory}/files;
    }}
}}
"""


def program() -> str | None:
    """Where it is; Debian has it outside the PATH of ordinary users."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def prepare() -> None:
    """Writes the files that it sends; raises Unavailable if there is no nginx."""
    if program() is None:
        raise environments.Unavailable(f"nginx is not installed: {HINT}")
    files = DIRECTORY / "files"
    files.mkdir(parents=True, exist_ok=True)
    for scenario in EDGE:
        if "nginx" in scenario.servers and isinstance(scenario.answer, bytes):
            (files / scenario.path.strip("/")).write_bytes(scenario.answer)


def command(port: int) -> list[str]:
    """Writes the configuration for this port, and says how to start nginx with it."""
    path = DIRECTORY / f"{port}.conf"
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    # Its workers must be able to read the files.
    user = "user root;" if os.geteuid() == 0 else ""
    path.write_text(CONFIGURATION.format(
        user=user, directory=DIRECTORY, port=port, certfile=certificate.CERTFILE, keyfile=certificate.KEYFILE))
    return [program() or "nginx", "-c", str(path), "-e", str(DIRECTORY / "error.log")]


def version() -> str:
    """As it says."""
    result = subprocess.run([program() or "nginx", "-v"], capture_output=True, text=True)
    found = re.search(r"nginx/(\S+)", result.stderr)
    return found[1] if found else ""

