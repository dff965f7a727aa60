"""Makes page.png: the page of the demonstration shop after minutes of load.

    make build && make run        # once, to set the shop up; Ctrl-C
    target/demo/venv/bin/python docs/images/page.py target/release/monoceros

It takes five minutes, and needs chromium. Everything else that it starts ends with it. With a
palette of 256 colours (pngquant) the picture takes a third of the bytes.
"""

import http.client
import itertools
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SHOP = HERE.parent.parent / "tests/apps/shop"
LENGTH = 290
CLIENTS = 6
PAGES = ["/", "/basket/", "/products.json", "/products/fountain-pen/", "/?page=2", "/orders.csv", "/products/logbook/"]
# A few requests find nothing, as on any site.
PATHS = [*PAGES * 6, "/favicon.ico"]


def start(program, data, log):
    """Starts the shop, and returns its process."""
    environment = {**os.environ, "SHOP_DATA": data}
    manage = [sys.executable, SHOP / "manage.py"]
    for words in (["migrate", "--verbosity", "0"], ["collectstatic", "--no-input", "--verbosity", "0"], ["demo"]):
        subprocess.run([*manage, *words], env=environment, check=True, stdout=subprocess.DEVNULL)
    words = ["--chdir", SHOP, "--python", sys.executable, "--workers", "3", "--threads", "2", "--static", "auto"]
    words += ["--name", "shop", "--bind", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]
    return subprocess.Popen([program, *words], env=environment, stderr=log)


def address(log, words):
    """The address in the line of the log that begins with these words."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = re.search(words + r" (?:.*http://)?([\d.]+:\d+)", Path(log.name).read_text())
        if found:
            return found[1]
        time.sleep(0.1)
    sys.exit(f"no {words!r} in the log of the server:\n{Path(log.name).read_text()}")


def ask(host, number, end):
    """A client that pauses between its requests: longer and shorter, in waves."""
    connection = http.client.HTTPConnection(host)
    for turn in itertools.count(number):
        now = time.monotonic()
        if now > end:
            return
        try:
            connection.request("GET", PATHS[turn % len(PATHS)])
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            connection.close()
        time.sleep(0.03 + 0.02 * math.sin((end - now) / 23 + number))


def photograph(url, data):
    """Takes the picture when the page has had the time for several reports."""
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={data}/browser"]
    flags += ["--window-size=1120,900", "--virtual-time-budget=6000", f"--screenshot={HERE / 'page.png'}"]
    subprocess.run(["chromium", *flags, url], check=True, stderr=subprocess.DEVNULL)


def main():
    with tempfile.TemporaryDirectory() as data, open(f"{data}/log", "w") as log:
        server = start(sys.argv[1], data, log)
        try:
            metrics, host = address(log, "master: metrics at"), address(log, "master: serving")
            end = time.monotonic() + LENGTH
            clients = [threading.Thread(target=ask, args=(host, number, end)) for number in range(CLIENTS)]
            for client in clients:
                client.start()
            time.sleep(LENGTH / 2)
            server.send_signal(signal.SIGHUP)
            time.sleep(LENGTH / 2 - 10)
            photograph(f"http://{metrics}/", data)
            for client in clients:
                client.join()
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
