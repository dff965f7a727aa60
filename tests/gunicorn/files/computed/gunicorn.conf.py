import multiprocessing
import os

host, port = os.getenv("HOST", "127.0.0.1"), os.getenv("PORT_OF_SHOP", "8081")
bind = f"{host}:{port}"
workers = min(2, multiprocessing.cpu_count() * 2 + 1)
timeout = int(os.environ["SHOP_TIMEOUT"])
reload = os.getenv("DEBUG", "").lower() in ("1", "true")
accesslog, errorlog = (os.path.join(".", f"{name}.log") for name in ("access", "error"))
for _name in ("max_requests", "max_requests_jitter"):
    globals()[_name] = 10 * len(_name)
access_log_format = " ".join(["%(h)s", "%(l)s", '"%(r)s"', "%(s)s", "%({x-request-id}i)s"])
