threads = 2
keepalive = -1
