"""Functions of gunicorn that configuration files, workers and launchers call."""

import email.utils
import fcntl
import inspect
import os
import random
import re
import sys
import time
import urllib.parse

from gunicorn.errors import AppImportError
from gunicorn.workers import SUPPORTED_WORKERS

hop_headers = set(
    "connection date keep-alive proxy-authenticate proxy-authorization server te trailers"
    " transfer-encoding upgrade".split()
)


def is_glob_pattern(value):
    """Whether a path has wildcards."""
    return any(letter in value for letter in "*?[")


def get_arity(f):
    """How many arguments a callable takes by position."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(f).parameters.values()
    return sum(parameter.kind in positional for parameter in parameters)


def getcwd():
    """The current directory, by the name in PWD if that is the same directory."""
    name, actual = os.environ.get("PWD"), os.getcwd()
    try:
        return name if name and os.path.samefile(name, actual) else actual
    except OSError:
        return actual


# Addresses.


def is_ipv6(addr):
    import socket

    try:
        socket.inet_pton(socket.AF_INET6, addr)
    except (ValueError, OSError):
        return False
    return True


def parse_address(netloc, default_port="8000"):
    """A path for a unix socket, a number for a descriptor, else a host and a port."""
    scheme = re.match("unix:(?://)?|fd://|tcp://", netloc)
    scheme = scheme.group() if scheme else ""
    rest = netloc[len(scheme) :]
    if scheme.startswith("unix:"):
        return rest
    if scheme == "fd://":
        return number(rest, "%r is not a valid file descriptor.")
    if "[" in rest and "]" in rest:
        host, rest = rest[1 : rest.index("]")], rest[rest.rindex("]") + 1 :]
        port = rest[1:] if rest.startswith(":") else None
    else:
        host, port = (rest.split(":") + [None])[:2]
        host = host if rest else "0.0.0.0"
    port = default_port if port is None else port
    return host.lower(), number(port, "%r is not a valid port number.")


def number(text, failure):
    try:
        return int(text)
    except ValueError:
        raise RuntimeError(failure % text) from None


# Classes and applications by their names.


def load_entry_point(distribution, group, name):
    import importlib.metadata

    for entry in importlib.metadata.distribution(distribution).entry_points:
        if (entry.group, entry.name) == (group, name):
            return entry.load()
    raise ImportError("Entry point %r not found" % ((group, name),))


def load_class(uri, default="gunicorn.workers.sync.SyncWorker", section="gunicorn.workers"):
    """The class of this name: a short one, `module.Class`, or `egg:DISTRIBUTION#NAME`."""
    if inspect.isclass(uri):
        return uri
    try:
        if uri.startswith("egg:"):
            distribution, _, name = uri[len("egg:") :].partition("#")
            return load_entry_point(distribution, section, name or "sync")
        module, dot, name = SUPPORTED_WORKERS.get(uri, uri).rpartition(".")
        if not dot:
            return load_entry_point("gunicorn", section, uri)
        found = __import__(module, fromlist=[name])
    except (ImportError, ValueError) as error:
        import traceback

        raise RuntimeError(
            "class uri %r invalid or not found: \n\n[%s]" % (uri, traceback.format_exc())
        ) from error
    return getattr(found, name)


def import_app(module):
    """The application that `MODULE`, `MODULE:NAME` or `MODULE:FACTORY(LITERALS)` means."""
    name, _, expression = module.partition(":")
    expression = expression if ":" in module else "application"
    try:
        found = __import__(name, fromlist=[""])
    except ImportError:
        if name.endswith(".py") and os.path.exists(name):
            raise ImportError(
                "Failed to find application, did you mean '%s:%s'?" % (name[:-3], expression)
            ) from None
        raise
    return resolve(found, name, expression)


def resolve(module, module_name, expression):
    import ast

    try:
        tree = ast.parse(expression, mode="eval").body
    except SyntaxError:
        tree = None
    named = tree.func if isinstance(tree, ast.Call) else tree
    if tree is not named and not isinstance(named, ast.Name):
        raise AppImportError("Function reference must be a simple name: %r" % expression)
    if not isinstance(named, ast.Name):
        raise AppImportError(
            "Failed to parse %r as an attribute name or function call." % expression
        )
    try:
        found = getattr(module, named.id)
    except AttributeError:
        raise AppImportError(
            "Failed to find attribute %r in %r." % (named.id, module_name)
        ) from None
    if tree is not named:
        found = called(found, tree, expression)
    if not callable(found):
        raise AppImportError("Application object must be callable.")
    return found


def called(factory, tree, expression):
    import ast
    import traceback

    try:
        arguments = [ast.literal_eval(one) for one in tree.args]
        keywords = {one.arg: ast.literal_eval(one.value) for one in tree.keywords}
    except ValueError:
        raise AppImportError(
            "Failed to parse arguments as literal values: %r" % expression
        ) from None
    try:
        found = factory(*arguments, **keywords)
    except TypeError as error:
        # One frame: the call does not fit. More: the factory itself has failed.
        if len(traceback.extract_tb(error.__traceback__)) > 1:
            raise
        raise AppImportError("TypeError: %s" % error) from None
    if found is None:
        raise AppImportError("Failed to find application object: %r" % expression)
    return found


# Texts.


def bytes_to_str(b):
    return b if isinstance(b, str) else str(b, "latin1")


def to_bytestring(value, encoding="utf8"):
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode(encoding)
    raise TypeError("%r is not a string" % value)


def unquote_to_wsgi_str(string):
    return urllib.parse.unquote_to_bytes(string).decode("latin-1")


def split_request_uri(uri):
    # Two slashes in front would be the name of a host.
    parts = urllib.parse.urlsplit("." + uri if uri.startswith("//") else uri)
    return parts._replace(path=parts.path[1:]) if uri.startswith("//") else parts


def http_date(timestamp=None):
    stamp = time.time() if timestamp is None else timestamp
    return email.utils.formatdate(stamp, localtime=False, usegmt=True)


def is_hoppish(header):
    return header.lower().strip() in hop_headers


def warn(msg):
    print("!!!", file=sys.stderr)
    for number_of_line, line in enumerate(msg.splitlines()):
        print("!!! " + ("WARNING: " if number_of_line == 0 else "") + line, file=sys.stderr)
    print("!!!\n", file=sys.stderr, flush=True)


def make_fail_app(msg):
    content = to_bytestring(msg)

    def app(environ, start_response):
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(content)))]
        start_response("500 Internal Server Error", headers)
        return [content]

    return app


# Processes, files and descriptors.


def get_username(uid):
    import pwd

    return pwd.getpwuid(uid).pw_name


def set_owner_process(uid, gid, initgroups=False):
    """Changes the group, the further groups if asked, and the user of this process."""
    if gid:
        gid = abs(gid) & 0x7FFFFFFF
        if initgroups and uid:
            os.initgroups(get_username(uid), gid)
        elif gid != os.getgid():
            os.setgid(gid)
    if uid and uid != os.getuid():
        os.setuid(uid)


def chown(path, uid, gid):
    os.chown(path, uid, gid)


def unlink(filename):
    try:
        os.unlink(filename)
    except (FileNotFoundError, NotADirectoryError):
        pass


def check_is_writable(path):
    try:
        open(path, "a").close()
    except OSError as error:
        raise RuntimeError("Error: '%s' isn't writable [%r]" % (path, error)) from error


def close_on_exec(fd):
    fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.fcntl(fd, fcntl.F_GETFD) | fcntl.FD_CLOEXEC)


def set_non_blocking(fd):
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)


def close(sock):
    try:
        sock.close()
    except OSError:
        pass


def has_fileno(obj):
    try:
        obj.fileno()
    except (AttributeError, OSError):
        return False
    return True


def seed():
    random.seed()


def reraise(tp, value, tb=None):
    raise (tp() if value is None else value).with_traceback(tb)
