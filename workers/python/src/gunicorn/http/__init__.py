"""Names of gunicorn's HTTP parts that configuration files import. The server's own parts read
requests and write responses.
"""

from gunicorn.http.message import Message, Request

__all__ = ["Message", "Request"]
