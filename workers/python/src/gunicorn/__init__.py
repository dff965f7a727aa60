"""The names of gunicorn that configuration files and applications use, without its server.

Molds and workers find this package if no gunicorn is installed beside the application.
Where a value or a message is compared or read by programs, it is that of gunicorn 27.
"""

version_info = (27, 0, 1)
__version__ = "27.0.1"
SERVER = "gunicorn"
SERVER_SOFTWARE = "gunicorn/27.0.1"
