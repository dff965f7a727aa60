"""A small application that counts with prometheus_client alone."""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

served = Counter("plain_served", "Requests.")
living = Gauge("plain_living", "Processes that have served.", multiprocess_mode="livesum")
size = Histogram("plain_size", "Sizes.")


def application(environ, start_response):
    status, body = "200 OK", b"hello"
    if environ["PATH_INFO"] == "/metrics":
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        body = generate_latest(registry)
    elif environ["PATH_INFO"] == "/place":
        body = b'{"directory": "%s"}' % os.environb[b"PROMETHEUS_MULTIPROC_DIR"]
    else:
        served.inc()
        living.set(1)
        size.observe(0.5)
    start_response(status, [("Content-Length", str(len(body)))])
    return [body]
