import socket

from record import note


def when_ready(server):
    for listener in server.LISTENERS:
        name = listener.sock.getsockname()
        note("when_ready", text=str(listener) == "http://%s:%d" % name, family=listener.sock.family == socket.AF_INET,
             info=len(listener.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)),
             forwarded=listener.getsockname() == name)


def post_fork(server, worker):
    note("post_fork", worker, sockets=[str(it) for it in worker.sockets] == [str(it) for it in server.LISTENERS])


def post_worker_init(worker):
    note("post_worker_init", worker)


def child_exit(server, worker):
    note("child_exit", worker)
