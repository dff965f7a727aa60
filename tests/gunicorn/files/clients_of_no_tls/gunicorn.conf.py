import ssl

certfile = keyfile = None
cert_reqs = ssl.CERT_REQUIRED
