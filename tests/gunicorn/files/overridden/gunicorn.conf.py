workers = 2
timeout = 10
keepalive = 10
loglevel = "error"
