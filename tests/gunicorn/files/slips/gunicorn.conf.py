access_logfile = "-"
error_logfile = "-"
log_level = "debug"
debug = True
name = "shop"
keep_alive = 7
pid = "/tmp/shop.pid"
command = "/usr/bin/gunicorn"
ssl_options = {}
workers: int
timeout: 30


def when_read(server):
    pass
