"""The exceptions for requests and responses that cannot be understood or allowed."""


class NoMoreData(IOError):
    def __init__(self, buf=None):
        self.buf = buf

    def __str__(self):
        return "No more data after: %r" % (self.buf,)


class ParseException(Exception):
    """Something in a request or a response is wrong."""


def kind(name, attribute, form, code=None, base=ParseException):
    """An exception class: its argument is kept as this attribute, and shown in this form."""

    def init(self, argument):
        setattr(self, attribute, argument)
        if code is not None:
            self.code = code

    def text(self):
        return form % (getattr(self, attribute),)

    fields = {"__init__": init, "__str__": text, "__module__": __name__}
    return type(name, (base,), fields)


ConfigurationProblem = kind("ConfigurationProblem", "info", "Configuration problem: %s", 500)
InvalidRequestLine = kind("InvalidRequestLine", "req", "Invalid HTTP request line: %r", 400)
InvalidRequestMethod = kind("InvalidRequestMethod", "method", "Invalid HTTP method: %r")
ExpectationFailed = kind(
    "ExpectationFailed", "expect", "Unable to comply with expectation: %r"
)
InvalidHTTPVersion = kind("InvalidHTTPVersion", "version", "Invalid HTTP Version: %r")
ObsoleteFolding = kind("ObsoleteFolding", "hdr", "Obsolete line folding is unacceptable: %r")
InvalidHeaderName = kind("InvalidHeaderName", "hdr", "Invalid HTTP header name: %r")
InvalidResponseHeaderName = kind(
    "InvalidResponseHeaderName",
    "hdr",
    "Invalid response header name from the application: %s",
    base=InvalidHeaderName,
)
UnsupportedTransferCoding = kind(
    "UnsupportedTransferCoding", "hdr", "Unsupported transfer coding: %r", 501
)
InvalidChunkSize = kind("InvalidChunkSize", "data", "Invalid chunk size: %r", 400)
ChunkMissingTerminator = kind(
    "ChunkMissingTerminator", "term", "Invalid chunk terminator is not '\\r\\n': %r", 400
)
InvalidChunkExtension = kind("InvalidChunkExtension", "reason", "Invalid chunk extension: %s", 400)
LimitRequestHeaders = kind("LimitRequestHeaders", "msg", "%s")
InvalidProxyLine = kind("InvalidProxyLine", "line", "Invalid PROXY line: %r", 400)
InvalidProxyHeader = kind("InvalidProxyHeader", "msg", "Invalid PROXY header: %s", 400)
ForbiddenProxyRequest = kind(
    "ForbiddenProxyRequest", "host", "Proxy request from %r not allowed", 403
)
InvalidH2CPreface = kind(
    "InvalidH2CPreface", "data", "Expected HTTP/2 connection preface, got %r"
)


class InvalidHeader(ParseException):
    def __init__(self, hdr, req=None):
        self.hdr = hdr
        self.req = req

    def __str__(self):
        return "Invalid HTTP Header: %r" % (self.hdr,)


class InvalidResponseHeader(InvalidHeader):
    def __str__(self):
        return "Invalid response header from the application: %s" % (self.hdr,)


class LimitRequestLine(ParseException):
    def __init__(self, size, max_size=None):
        self.size = size
        self.max_size = max_size

    def __str__(self):
        if self.max_size is None:
            return str(self.size)
        return "Request Line is too large (%s > %s)" % (self.size, self.max_size)


class InvalidSchemeHeaders(ParseException):
    def __str__(self):
        return "Contradictory scheme headers"
