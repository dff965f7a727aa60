import os

bind = "127.0.0.1:" + os.environ["NO_SUCH_VARIABLE"]
