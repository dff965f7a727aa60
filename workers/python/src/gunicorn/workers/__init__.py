"""The classes of workers by their short names."""

SUPPORTED_WORKERS = {
    name: "gunicorn.workers." + place
    for name, place in (
        ("sync", "sync.SyncWorker"),
        ("gevent", "ggevent.GeventWorker"),
        ("gevent_wsgi", "ggevent.GeventPyWSGIWorker"),
        ("gevent_pywsgi", "ggevent.GeventPyWSGIWorker"),
        ("tornado", "gtornado.TornadoWorker"),
        ("gthread", "gthread.ThreadWorker"),
        ("asgi", "gasgi.ASGIWorker"),
    )
}
