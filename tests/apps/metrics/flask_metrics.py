"""A Flask application that counts with prometheus_flask_exporter, and shows how."""

import os

from flask import Flask, jsonify
from prometheus_client import Counter, Gauge, Summary
from prometheus_flask_exporter import PrometheusMetrics

app = Flask(__name__)
# Adds /metrics, and counts all other requests.
metrics = PrometheusMetrics(app)
metrics.info("app_info", "The application.", version="1.0")

served = Counter("app_served", "Requests by process.", ["kind"])
living = Gauge("app_living", "Processes that have served.", multiprocess_mode="livesum")
spread = {
    mode: Gauge("app_" + mode, 'The mode "%s", with \\ and\na line.' % mode, multiprocess_mode=mode)
    for mode in ("all", "liveall", "min", "max", "sum", "mostrecent", "livemostrecent")
}
size = Summary("app_size", "Sizes.", ["path"])


@app.get("/")
def hello():
    served.labels('a "kind"\n\\').inc()
    living.set(1)
    for number, gauge in enumerate(spread.values()):
        gauge.set(os.getpid() % 100 + number)
    size.labels("/").observe(1_500_000.25)
    return "hello"


@app.get("/place")
def place():
    """Where this process counts."""
    directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    files = sorted(os.listdir(directory)) if directory else []
    internal = sorted(name for name in os.environ if name.startswith("MONOCEROS_"))
    return jsonify(directory=directory, files=files, pid=os.getpid(), internal=internal)


@app.get("/fork")
def fork():
    """Counts in a process that this one forks."""
    pid = os.fork()
    if pid == 0:
        served.labels("forked").inc()
        os._exit(0)
    return str(os.waitpid(pid, 0)[1])


@app.get("/error")
def error():
    raise ValueError("an error of the application")
