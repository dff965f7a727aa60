"""uvicorn with a drain that loses no request, for worker class exec.

uvicorn by itself closes, on SIGTERM, every connection on which it has not read
a request yet, be it kept or just accepted. This one stops accepting, has kept
connections closed with their next answer, and closes only what stays idle.
"""

import asyncio
import time

import uvicorn
from hello import asgi

# How long a kept connection may be idle while the server drains: longer than a
# busy machine lets a client stand still that is about to ask.
DRAIN_IDLE = 20
# What was just accepted becomes a connection in so many turns of the loop.
TURNS = 10
CLOSE = (b"connection", b"close")


class Server(uvicorn.Server):
    draining = False

    async def shutdown(self, sockets=None):
        self.draining = True
        for server in self.servers:
            server.close()
        until, turns = time.monotonic() + DRAIN_IDLE, 0
        while turns < TURNS and time.monotonic() < until:
            await asyncio.sleep(0.01)
            turns = 0 if self.server_state.connections else turns + 1
        await super().shutdown(sockets)

    async def application(self, scope, receive, send):
        async def send_and_close(message):
            if self.draining and message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), CLOSE]}
            await send(message)

        await asgi(scope, receive, send_and_close)


async def application(scope, receive, send):
    await server.application(scope, receive, send)


server = Server(uvicorn.Config(application, fd=3, lifespan="off", log_level="warning"))
server.run()
