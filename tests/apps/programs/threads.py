"""A server of the standard library that keeps the contract of worker class exec.

It serves from descriptor 3, says when it is ready, and drains on SIGTERM. Its
arguments name what a test wants of it: `silent` says nothing, `gate=FILE` gets
ready only when the file exists, `broken=FILE` fails at once if it does.
"""

import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# How long a kept connection may be idle while the server drains: longer than a
# busy machine lets a client stand still that is about to ask.
DRAIN_IDLE = 20
OPTIONS = dict(word.partition("=")[::2] for word in sys.argv[1:])


class Server(ThreadingHTTPServer):
    # server_close() waits for requests that are being answered.
    daemon_threads = False

    def __init__(self, listener):
        super().__init__(listener.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.draining = False
        self.open = set()
        self.idle = set()

    def process_request(self, request, client_address):
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        super().shutdown_request(request)
        self.open.discard(request)

    def drain(self):
        """Waits for SIGTERM: a handler might run while the main thread holds a
        lock of the threading module, and could start no thread."""
        signal.sigwait({signal.SIGTERM})
        self.draining = True
        self.shutdown()
        # Nothing more is accepted; who is kept may ask once more.
        until = time.monotonic() + DRAIN_IDLE
        while self.open and time.monotonic() < until:
            time.sleep(0.01)
        for connection in list(self.idle):
            connection.shutdown(socket.SHUT_RD)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one_request(self):
        self.server.idle.add(self.connection)
        super().handle_one_request()
        self.server.idle.discard(self.connection)

    def do_GET(self):
        self.server.idle.discard(self.connection)
        body = answer(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if self.server.draining:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def answer(path):
    if path.startswith("/environment/"):
        return os.environ.get(path.rpartition("/")[2], "").encode()
    if path == "/descriptors":
        held = (number for number in range(3, 64) if os.path.exists(f"/proc/self/fd/{number}"))
        named = (os.readlink(f"/proc/self/fd/{number}").partition(":")[0] for number in held)
        return " ".join(named).encode()
    return str(os.getpid()).encode()


def notify(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
        sender.send(text.encode())


def main():
    if "broken" in OPTIONS and os.path.exists(OPTIONS["broken"]):
        sys.exit(7)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    server = Server(socket.socket(fileno=3))
    drain = threading.Thread(target=server.drain, daemon=True)
    drain.start()
    signal.signal(signal.SIGUSR1, lambda *_: open("reopened", "a").write("again\n"))
    if "gate" in OPTIONS:
        notify("STATUS=waiting at the gate\nWATCHDOG=1")
        while not os.path.exists(OPTIONS["gate"]):
            time.sleep(0.01)
    if "silent" not in OPTIONS:
        notify("STATUS=serving\nREADY=1")
    server.serve_forever()
    drain.join()
    server.server_close()


main()
