"""WebSockets of flask-sock, as its documentation has them, and a page that uses them."""

from flask import Flask
from flask_sock import Sock

app = Flask(__name__)
sock = Sock(app)

PAGE = """<!doctype html><title>WebSockets</title><script>
window.received = [];
const socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/echo`);
socket.onopen = () => { socket.send("one"); socket.send("two \\u2603"); };
socket.onmessage = (event) => {
    received.push(event.data);
    if (received.length === 2) socket.send("leave");
};
socket.onclose = (event) => { received.push(event.code, event.wasClean); };
socket.onerror = () => received.push("error");
</script>"""


@app.get("/")
def page():
    """Opens a WebSocket in a browser."""
    return PAGE


@sock.route("/echo")
def echo(ws):
    """Sends back what comes, until it is asked to leave."""
    while (message := ws.receive()) != "leave":
        ws.send(message)


@sock.route("/notify")
def notify(ws):
    """Notes in a file that the client has gone."""
    try:
        ws.send("ready")
        ws.receive()
    finally:
        with open("gone", "a", encoding="utf-8") as file:
            file.write("gone\n")
