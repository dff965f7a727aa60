// A Node server that keeps the contract of worker class exec: it serves from
// descriptor 3, and drains on SIGTERM.
"use strict";

const http = require("node:http");
const net = require("node:net");

// How long a kept connection may be idle while the server drains, in milliseconds:
// longer than a busy machine lets a client stand still that is about to ask.
const DRAIN_IDLE = 20000;
let draining = false;

const server = http.createServer((request, response) => {
  if (draining) response.setHeader("Connection", "close");
  response.end(String(process.pid));
});

process.on("SIGTERM", () => {
  draining = true;
  // http.Server's own close() would close kept connections at once, and with
  // them a request that is on its way.
  net.Server.prototype.close.call(server, () => process.exit(0));
  setTimeout(() => server.closeIdleConnections(), DRAIN_IDLE);
});

// Node shortens the queue of the socket, which all workers share, to 511 otherwise.
server.listen({ fd: 3, backlog: 2048 });
