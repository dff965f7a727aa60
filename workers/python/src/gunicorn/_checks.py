"""What is done to the value of a setting before it is kept.

Each function returns the value in the form that programs read, or raises an exception with
the text that gunicorn 27 has for it. The names that start with `validate_` are gunicorn's.
"""

import grp
import inspect
import ipaddress
import os
import pwd
import re
import sys

from gunicorn import util
from gunicorn.errors import ConfigError

RELOAD_ENGINES = {"auto": None, "poll": None, "inotify": None}


def validate_string(val):
    if val is None or isinstance(val, str):
        return val and val.strip()
    raise TypeError("Not a string: %s" % val)


def validate_bool(val):
    if val is None or isinstance(val, bool):
        return val
    if not isinstance(val, str):
        raise TypeError("Invalid type for casting: %s" % val)
    word = val.lower().strip()
    if word not in ("true", "false"):
        raise ValueError("Invalid boolean: %s" % val)
    return word == "true"


def validate_dict(val):
    if isinstance(val, dict):
        return val
    raise TypeError("Value is not a dictionary: %s " % val)


def as_integer(val):
    """A number, or text in the syntax of Python's literals."""
    return int(val) if isinstance(val, int) else int(val, 0)


def validate_pos_int(val):
    number = as_integer(val)
    if number < 0:
        raise ValueError("Value must be positive: %s" % number)
    return number


def validate_list_string(val):
    if not val:
        return []
    return [validate_string(one) for one in ([val] if isinstance(val, str) else val)]


def validate_string_to_list(val):
    return [part.strip() for part in (validate_string(val) or "").split(",") if part]


def validate_string_to_addr_list(val):
    parts = validate_string_to_list(val)
    for part in parts:
        if part != "*":
            ipaddress.ip_network(part)
    return parts


def validate_file_exists(val):
    if val is None or os.path.exists(val):
        return val
    raise ValueError("File %s does not exists." % val)


def validate_list_of_files_or_patterns(val):
    found = []
    for name in validate_list_string(val):
        found.append(name if util.is_glob_pattern(name) else validate_file_exists(name))
        if util.is_glob_pattern(name):
            warn_of_idle_pattern(name)
    return found


def warn_of_idle_pattern(pattern):
    import glob
    import warnings

    if not glob.glob(pattern, recursive=True):
        warnings.warn("Pattern %s currently matches no files." % pattern, RuntimeWarning, 2)


def validate_class(val):
    if inspect.isfunction(val) or inspect.ismethod(val):
        val = val()
    return val if inspect.isclass(val) else validate_string(val)


def imported(path):
    """The object that a text `module.name` means."""
    module, dot, name = path.rpartition(".")
    if not dot:
        raise TypeError(
            "Value '%s' is not import string. Format: module[.submodules...].object" % path
        )
    try:
        return getattr(__import__(module, fromlist=[name]), name)
    except ImportError as error:
        raise TypeError(str(error)) from error
    except AttributeError:
        raise TypeError("Can not load '%s' from '%s'" % (name, module)) from None


def validate_callable(arity):
    """A check for hooks with this number of parameters; -1 accepts any number."""

    def check(val):
        hook = imported(val) if isinstance(val, str) else val
        if not callable(hook):
            raise TypeError("Value is not callable: %s" % hook)
        if arity not in (-1, util.get_arity(hook)):
            raise TypeError("Value must have an arity of: %s" % arity)
        return hook

    return check


def validate_post_request(val):
    """Hooks with fewer parameters are wrapped, so that each is called with four."""
    hook = validate_callable(-1)(val)
    count = util.get_arity(hook)
    if count == 4:
        return hook
    if count not in (2, 3):
        raise TypeError("Value must have an arity of: 4")

    def shortened(worker, req, environ, resp):
        return hook(*(worker, req, environ)[:count])

    # By this name it is shown among the settings.
    shortened.__qualname__ = "validate_post_request.<locals>.<lambda>"
    return shortened


def identity(val, own, look_up, failure):
    """The number of a user or a group."""
    if val is None:
        return own()
    if isinstance(val, int):
        return val
    if val.isdigit():
        return int(val)
    try:
        return look_up(val)
    except KeyError:
        raise ConfigError(failure % val) from None


def validate_user(val):
    return identity(val, os.geteuid, lambda it: pwd.getpwnam(it).pw_uid, "No such user: '%s'")


def validate_group(val):
    return identity(val, os.getegid, lambda it: grp.getgrnam(it).gr_gid, "No such group: '%s'")


def validate_chdir(val):
    name = validate_string(val)
    path = os.path.abspath(os.path.join(util.getcwd(), name))
    if os.path.exists(path):
        return path
    raise ConfigError("can't chdir to %r" % name)


def validate_statsd_address(val):
    text = validate_string(val)
    if text is None:
        return None
    # A host of the name `unix`, and no socket file.
    port = re.fullmatch(r"unix:(\d+)", text)
    if port:
        return ("unix", int(port[1]))
    try:
        return util.parse_address(text, default_port="8125")
    except RuntimeError:
        raise TypeError("Value must be one of ('host:port', 'unix://PATH')") from None


def validate_reload_engine(val):
    if val in RELOAD_ENGINES:
        return val
    raise ConfigError("Invalid reload_engine: %r" % val)


def validate_proxy_protocol(val):
    if val is None or isinstance(val, bool):
        return "auto" if val else "off"
    if not isinstance(val, str):
        raise TypeError("proxy_protocol must be string or bool")
    word = val.lower().strip()
    modes = {"true": "auto", "1": "auto", "false": "off", "none": "off", "0": "off"}
    word = modes.get(word, word)
    if word in ("off", "v1", "v2", "auto"):
        return word
    raise ValueError("proxy_protocol must be: off, v1, v2, or auto")


def validate_http_protocols(val):
    if val is None:
        return ["h1"]
    if not isinstance(val, str):
        raise TypeError("http_protocols must be a string")
    words = [word.strip() for word in val.lower().split(",")]
    words = [word for word in words if word]
    for word in words:
        if word not in ("h1", "h2"):
            raise ValueError("Invalid protocol %r. Valid protocols: h1, h2" % word)
    if len(set(words)) < len(words):
        raise ValueError("Duplicate protocols specified")
    return words or ["h1"]


def one_of(words, failure, default, strips=True):
    """A check for one word of several, in any case."""

    def check(val):
        if val is None:
            return default
        if not isinstance(val, str):
            raise TypeError("Invalid type for casting: %s" % val)
        word = val.lower().strip()
        if word in words:
            return word
        raise ValueError(failure % (word if strips else val))

    return check


validate_header_map_behaviour = one_of(
    ("drop", "refuse", "dangerous"), "Invalid header map behaviour: %s", None, strips=False
)
validate_asgi_loop = one_of(("auto", "asyncio", "uvloop"), "Invalid ASGI loop: %s", "auto")
validate_asgi_lifespan = one_of(("auto", "on", "off"), "Invalid ASGI lifespan: %s", "auto")
cleartext_word = one_of(
    ("off", "prior-knowledge", "upgrade", "both"), "Invalid http2_cleartext: %s", "off"
)


def validate_http2_cleartext(val):
    if isinstance(val, bool):
        return "prior-knowledge" if val else "off"
    return cleartext_word(val)


def validate_http_parser(val):
    if val is None:
        return "auto"
    if not isinstance(val, str):
        raise TypeError("http_parser must be a string")
    word = val.lower().strip()
    if word in ("auto", "fast", "python"):
        return word
    raise ValueError("http_parser must be one of: auto, fast, python")


def validate_http2_window_size(val):
    number = validate_pos_int(val)
    if number >= 2**31:
        raise ValueError("HTTP/2 window size must be at most 2147483647: %s" % number)
    return number


def validate_http2_stream_limit(val):
    number = validate_pos_int(val)
    if number == 0:
        raise ValueError("HTTP/2 max concurrent streams must be at least 1: %s" % number)
    return number


def validate_http2_frame_size(val):
    number = as_integer(val)
    if 2**14 <= number < 2**24:
        return number
    raise ValueError(
        "http2_max_frame_size must be between 16384 and 16777215, got %d" % number
    )


def validate_ssl_version(val):
    import ssl

    if val != ssl.PROTOCOL_TLS:
        sys.stderr.write(
            "Warning: option `ssl_version` is deprecated and it is ignored. "
            "Use ssl_context instead.\n"
        )
    return val
