import ssl

secure_scheme_headers = {"X-FORWARDED-PROTO": "https", "X-FORWARDED-SSL": "on"}
forwarded_allow_ips = ["10.0.0.1", "10.0.0.2"]
forwarder_headers = "SCRIPT_NAME"
cert_reqs = ssl.CERT_REQUIRED
access_log_format = "%(h)-15s %(asctime)s %()s µ %(r)s"
worker_tmp_dir = "/dev/shm"
enable_stdio_inheritance = True
reuse_port = True
tmp_upload_dir = "/tmp"
timeout = 0
proxy_protocol = True
strip_header_spaces = False
statsd_host = "127.0.0.1:8125"
statsd_prefix = "shop"
spew = False
disable_redirect_access_to_syslog = True
