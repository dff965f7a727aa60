"""The certificate of all servers in a run: P-256, signed by its own key."""

from __future__ import annotations

import subprocess

import places
import tools

CERTFILE = places.SCRATCH / "certificate.pem"
KEYFILE = places.SCRATCH / "certificate.key"


def make() -> None:
    """Makes it with the openssl program."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
               "-keyout", str(KEYFILE), "-out", str(CERTFILE)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise tools.Missing(f"openssl makes no certificate: {result.stderr.strip().rpartition(chr(10))[2]}")
