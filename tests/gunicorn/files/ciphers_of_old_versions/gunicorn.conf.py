ciphers = "TLSv1"
cert_reqs = 0
do_handshake_on_connect = False
