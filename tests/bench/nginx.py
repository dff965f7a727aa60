"""nginx as a peer: static files, which in some scenarios have the content of applications' responses."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import certificate
import environments
import places
from scenarios import EDGE, FILES

HINT = "on Debian: sudo apt-get install nginx-light"
DIRECTORY = places.SCRATCH / "nginx"
FILES_DIRECTORY = places.SCRATCH / "files"

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
    # As in the configuration of Debian's package.
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 100000000;
    # Files are not opened for each request. By default they are looked at again after 60 s.
    open_file_cache max=16;
    server {{
        listen 127.0.0.1:{port} {ssl} backlog=2048;
        {tls}
        root {files};
    }}
}}
"""

TLS = """\
ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate {certfile};
        ssl_certificate_key {keyfile};
"""


def program() -> str | None:
    """Where it is; Debian has it outside the PATH of ordinary users."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def require() -> None:
    """Raises Unavailable if there is no nginx."""
    if program() is None:
        raise environments.Unavailable(f"nginx is not installed: {HINT}")


def write_files() -> None:
    """Writes the files that nginx and Monoceros send."""
    for scenario in (*EDGE, *FILES):
        if "nginx" in scenario.servers and isinstance(scenario.answer, bytes):
            path = FILES_DIRECTORY / scenario.path.strip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(scenario.answer)


def command(port: int, has_tls: bool) -> list[str]:
    """Writes the configuration for this port, and says how to start nginx with it."""
    path = DIRECTORY / f"{port}.conf"
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    # Its workers must be able to read the files.
    user = "user root;" if os.geteuid() == 0 else ""
    encryption = TLS.format(certfile=certificate.CERTFILE, keyfile=certificate.KEYFILE) if has_tls else ""
    path.write_text(CONFIGURATION.format(
        user=user, directory=DIRECTORY, files=FILES_DIRECTORY, port=port, ssl="ssl" if has_tls else "", tls=encryption))
    return [program() or "nginx", "-c", str(path), "-e", str(DIRECTORY / "error.log")]


def version() -> str:
    """As it says."""
    result = subprocess.run([program() or "nginx", "-v"], capture_output=True, text=True)
    found = re.search(r"nginx/(\S+)", result.stderr)
    return found[1] if found else ""

