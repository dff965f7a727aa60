import asyncio
import signal
import threading

from record import note

module_state = []


def watch(server, started):
    note("thread", listeners=len(server.LISTENERS))
    started.set()
    threading.Event().wait()


def on_starting(server):
    async def prepare():
        await asyncio.sleep(0)
        return "done"

    loop = asyncio.new_event_loop()
    module_state.append(loop.run_until_complete(prepare()))
    loop.close()
    note("on_starting", main=threading.current_thread() is threading.main_thread())


def when_ready(server):
    signal.signal(signal.SIGPIPE, lambda *_: None)
    started = threading.Event()
    server.thread = threading.Thread(target=watch, args=(server, started), daemon=True)
    server.thread.start()
    started.wait()
    note("when_ready", state=module_state, main=threading.current_thread() is threading.main_thread())


def on_reload(server):
    note("on_reload", thread=server.thread.is_alive(), handler=callable(signal.getsignal(signal.SIGPIPE)))


def on_exit(server):
    note("on_exit", thread=server.thread.is_alive())


def post_fork(server, worker):
    note("post_fork", worker, threads=threading.active_count())


def post_worker_init(worker):
    note("post_worker_init", worker)


def child_exit(server, worker):
    note("child_exit", worker)
