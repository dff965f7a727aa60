"""What pre_request and post_request get of a request, and what pre_request changes of it."""

from urllib.parse import unquote_to_bytes

# Fields of the connection are the server's (RFC 9110 section 7.6.1).
HOP_BY_HOP = frozenset((
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "trailers", "transfer-encoding", "upgrade",
))

VERSIONS = {"HTTP/1.0": (1, 0), "HTTP/1.1": (1, 1)}


class Request:
    """A request. Both hooks get the same object, and may set any attribute of it."""

    def __init__(self, cfg, environ, path, headers):
        self.cfg = cfg
        self.method = environ["REQUEST_METHOD"]
        self.uri = environ["RAW_URI"]
        self.path = path
        self.query = environ["QUERY_STRING"]
        self.fragment = self.uri.partition("#")[2]
        self.version = VERSIONS.get(environ["SERVER_PROTOCOL"], (1, 1))
        self.headers = headers
        self.scheme = environ["wsgi.url_scheme"]
        self.body = environ["wsgi.input"]
        self.peer_addr = self.remote_addr = client_of(environ)


class Response:
    """The response that the application has begun."""

    def __init__(self, request, begin):
        self.req = request
        self.cfg = request.cfg
        self.status = None
        self.headers = []
        self.headers_sent = False
        self.response_length = None
        self.sent = 0
        self._begin = begin

    def start_response(self, status, headers, exc_info=None):
        """Begins the response, as PEP 3333 describes."""
        headers = list(headers)
        write = self._begin(status, headers, exc_info)
        self.status = status
        self.status_code = int(status[:3])
        self.headers = []
        self.response_length = None
        for name, value in headers:
            value = value.strip(" \t")
            if name.lower() == "content-length":
                self.response_length = int(value)
            if name.lower() not in HOP_BY_HOP:
                self.headers.append((name, value))
        return write


class HookedRequest:
    """A request of a worker that has hooks for requests."""

    def __init__(self, hooks, environ, path, headers):
        self.hooks = hooks
        self.request = Request(hooks.cfg, environ, path, headers)
        # What post_request gets if pre_request raises.
        self.environ = {}
        self.response = None

    def begin(self, environ, start_response):
        """Runs pre_request; returns start_response for the application."""
        hooks, request = self.hooks, self.request
        if hooks.before is not None:
            given = facts(request)
            hooks.before(hooks.worker, request)
            left = facts(request)
            if left != given:
                adopt(environ, given, left)
        if hooks.after is None:
            return start_response
        self.environ = environ
        self.response = Response(request, start_response)
        return self.response.start_response

    def end(self, sent, has_head):
        """Runs post_request. So many bytes of the body were sent."""
        hooks, response = self.hooks, self.response
        if response is not None:
            response.sent, response.headers_sent = sent, has_head
        if hooks.after is not None:
            hooks.after(hooks.worker, self.request, self.environ, response)


class RequestHooks:
    """The hooks for requests of a worker."""

    def __init__(self, cfg, worker):
        self.cfg = cfg
        self.worker = worker
        self.before = find(cfg, "pre_request")
        self.after = find(cfg, "post_request")

    def open(self, environ, path, headers):
        """Makes the request's object."""
        return HookedRequest(self, environ, path, headers)


def prepare(cfg, worker):
    """The hooks for requests; None if the configuration has none."""
    hooks = RequestHooks(cfg, worker)
    return None if hooks.before is None and hooks.after is None else hooks


def find(cfg, name):
    """The hook of this name; None if the configuration leaves the default."""
    setting = cfg.settings[name]
    hook = setting.get()
    return None if hook is setting.default else hook


def client_of(environ):
    """The client's address, as a socket has it: empty for a unix socket."""
    port = environ.get("REMOTE_PORT")
    host = environ.get("REMOTE_ADDR", "")
    return (host, int(port)) if port else host


def facts(request):
    """What the application gets of a request, except the body."""
    return request.method, request.uri, request.query, request.path, tuple(request.headers)


def adopt(environ, given, left):
    """Sets the variables of the application for what pre_request has changed, as gunicorn, which
    makes the variables after the hook."""
    for key, before, after in zip(("REQUEST_METHOD", "RAW_URI", "QUERY_STRING"), given, left):
        if after != before:
            environ[key] = after or ""
    if left[3] != given[3]:
        path = unquote_to_bytes(left[3]).decode("latin-1")
        environ["PATH_INFO"] = path.removeprefix(environ.get("SCRIPT_NAME", ""))
    before, after = by_variable(given[4]), by_variable(left[4])
    for key in before.keys() | after.keys():
        values = after.get(key)
        if values == before.get(key):
            continue
        if values is None:
            environ.pop(key, None)
        else:
            environ[key] = ",".join(values)


def by_variable(headers):
    """The values of headers, by the variable that has them."""
    found = {}
    for name, value in headers:
        key = name.replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = "HTTP_" + key
        found.setdefault(key, []).append(value)
    return found
