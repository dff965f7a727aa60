"""Finds the application of a name, by the rules of gunicorn.

Modules that only some names need are imported in the functions, since every worker
needs memory for an imported module.
"""

import os
import sys
import types
from importlib import import_module

# The flag of a function that is defined by `async def` (`inspect.CO_COROUTINE`).
COROUTINE = 0x80


class ApplicationError(Exception):
    """The application is not in its module, or cannot be called."""


def search(paths):
    """Puts these paths in front of Python's search path, as absolute names, since the
    application may change the current directory.
    """
    for path in map(os.path.abspath, reversed(paths)):
        if path in sys.path:
            sys.path.remove(path)
        sys.path.insert(0, path)


def load(name, pairs=()):
    """Returns the application of this name, and its complete name.

    `name` is `MODULE`, `MODULE:ATTRIBUTE` or `MODULE:FACTORY(LITERALS)`, `config:FILE#NAME`
    for a file of PasteDeploy, or None for a Django project in the current directory. `pairs`
    are `NAME=VALUE` for every section of such a file.
    Raises ApplicationError, and the exceptions of importing the module.
    """
    if name is None:
        name = find_django()
    elif name.startswith("config:"):
        return load_paste(name, pairs)
    module_name, _, expression = name.partition(":")
    expression = expression or "application"
    module = import_named(module_name)
    application = resolve(module, module_name, expression)
    if not callable(application):
        raise ApplicationError(
            "%s:%s is no application: %s objects cannot be called"
            % (module_name, expression, type(application).__name__)
        )
    if is_asynchronous(application):
        raise ApplicationError(
            "%s:%s is no WSGI application: its call is a coroutine, as in ASGI (FastAPI, "
            "Starlette); this server serves WSGI, so wrap it: a2wsgi.ASGIMiddleware(%s)"
            % (module_name, expression, expression)
        )
    return application, "%s:%s" % (module_name, expression)


def is_asynchronous(application):
    """Whether a call of the application makes a coroutine."""
    function = application
    if not isinstance(function, types.FunctionType):
        function = getattr(type(application), "__call__", None)
    code = getattr(function, "__code__", None)
    return bool(getattr(code, "co_flags", 0) & COROUTINE)


def import_named(name):
    try:
        return import_module(name)
    except ImportError:
        if name.endswith(".py") and os.path.exists(name):
            raise ApplicationError(
                "%s is a file; name the module instead: %s" % (name, name[:-3].replace("/", "."))
            ) from None
        raise


def resolve(module, module_name, expression):
    if expression.isidentifier():
        return attribute(module, module_name, [expression])
    import ast

    try:
        tree = ast.parse(expression, mode="eval").body
    except SyntaxError:
        tree = None
    is_call = isinstance(tree, ast.Call)
    named = tree.func if is_call else tree
    names = []
    while isinstance(named, ast.Attribute):
        names.insert(0, named.attr)
        named = named.value
    if not isinstance(named, ast.Name):
        raise ApplicationError(
            "cannot read %r: write MODULE:NAME or MODULE:FACTORY(ARGUMENTS)" % expression
        )
    found = attribute(module, module_name, [named.id, *names])
    return call(found, tree, expression) if is_call else found


def attribute(module, module_name, names):
    found = module
    for name in names:
        try:
            found = getattr(found, name)
        except AttributeError:
            raise ApplicationError(
                "cannot find %r in the module %s%s"
                % (name, module_name, proposal(module, module_name, names))
            ) from None
    return found


def proposal(module, module_name, names):
    """The end of an error: what the module has in place of the usual name."""
    for other, call in (("app", ""), ("create_app", "()"), ("make_app", "()")):
        if names == ["application"] and callable(vars(module).get(other)):
            return "; name what it has: %s:%s%s" % (module_name, other, call)
    return ""


def call(factory, tree, expression):
    import ast
    import traceback

    try:
        arguments = [ast.literal_eval(argument) for argument in tree.args]
        keywords = {word.arg: ast.literal_eval(word.value) for word in tree.keywords}
    except ValueError:
        raise ApplicationError(
            "cannot read %r: the arguments must be literals" % expression
        ) from None
    if None in keywords or not callable(factory):
        raise ApplicationError("cannot call %r" % expression)
    try:
        return factory(*arguments, **keywords)
    except TypeError as error:
        # A traceback of one frame: the call itself has failed, since its arguments do
        # not match.
        if len(traceback.extract_tb(error.__traceback__)) > 1:
            raise
        raise ApplicationError("cannot call %s: %s" % (expression, error)) from None


def load_paste(uri, pairs):
    """The application that a file of PasteDeploy describes, and the file."""
    file = uri[len("config:") :].partition("#")[0]
    if not os.path.exists(file):
        raise ApplicationError("%s does not exist" % file)
    try:
        from paste.deploy import loadapp
    except ModuleNotFoundError as error:
        if error.name not in ("paste", "paste.deploy"):
            raise
        raise ApplicationError("%s needs the Python package PasteDeploy" % file) from None
    configure_logging(file)
    import re

    options = {}
    for pair in pairs:
        key, value = re.split(r"(?<!\\)=", pair, maxsplit=1)
        options[key.replace("\\=", "=")] = value.replace("\\=", "=")
    return loadapp(uri, relative_to=os.getcwd(), global_conf=options), file


def configure_logging(file):
    """Configures Python's logging by a file that has a section for that."""
    import configparser

    parser = configparser.RawConfigParser()
    parser.read([file], encoding="utf-8")
    if parser.has_section("loggers"):
        from logging.config import fileConfig

        defaults = {"__file__": file, "here": os.path.dirname(file)}
        fileConfig(file, defaults=defaults, disable_existing_loggers=False)


def find_django():
    """The WSGI application of the Django project in the current directory."""
    if not os.path.exists("manage.py"):
        raise ApplicationError("no application was named, and there is no manage.py")
    if "DJANGO_SETTINGS_MODULE" not in os.environ:
        import re

        with open("manage.py", encoding="utf-8") as file:
            pattern = r"""["']DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)["']"""
            found = re.search(pattern, file.read())
        if not found:
            raise ApplicationError(
                "manage.py names no DJANGO_SETTINGS_MODULE; name the application instead"
            )
        os.environ["DJANGO_SETTINGS_MODULE"] = found.group(1)
    from django.conf import settings

    path = settings.WSGI_APPLICATION
    if path is None:
        return "django.core.wsgi:get_wsgi_application()"
    module, _, name = path.rpartition(".")
    return "%s:%s" % (module, name)
