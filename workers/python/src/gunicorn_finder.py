"""Finds the package `gunicorn`: the one that is installed, else the server's own.

A file `gunicorn.py` of the project, or a directory of this name with configuration files, is
never found: what applications and configuration files import is gunicorn's package.
"""

import sys
from importlib.machinery import ModuleSpec, PathFinder

NAME = "gunicorn"


class GunicornFinder:
    """A finder and loader (`importlib`). `sources` returns the source of a module of the
    server's package and whether it is a package, or None.
    """

    def __init__(self, sources):
        self.sources = sources

    def find_spec(self, name, path=None, target=None):
        if name == NAME:
            return self.installed() or self.own(name)
        if name.startswith(NAME + ".") and self.is_own(sys.modules.get(NAME)):
            return self.own(name)
        return None

    def installed(self):
        """The package on the search path, or that of another finder: of an editable
        installation.
        """
        specs = [PathFinder.find_spec(NAME, [entry]) for entry in sys.path]
        others = (it for it in sys.meta_path if it is not self and it is not PathFinder)
        specs += [it.find_spec(NAME, None) for it in others if hasattr(it, "find_spec")]
        return next(filter(is_gunicorn, specs), None)

    def own(self, name):
        found = self.sources(name)
        if found is None:
            return None
        return ModuleSpec(name, self, origin=file_name(name), is_package=found[1])

    def is_own(self, module):
        return getattr(getattr(module, "__spec__", None), "loader", None) is self

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(self.get_code(module.__name__), vars(module))

    def get_code(self, name):
        return compile(self.get_source(name), file_name(name), "exec", dont_inherit=True)

    def get_source(self, name):
        return self.sources(name)[0]

    def is_package(self, name):
        return self.sources(name)[1]


def is_gunicorn(spec):
    """Whether this is a package with gunicorn's modules, and not another one of its name."""
    places = spec and spec.loader and spec.submodule_search_locations
    return bool(places) and PathFinder.find_spec(NAME + ".glogging", places) is not None


def file_name(name):
    """How tracebacks name a module's file."""
    return "<monoceros>/%s.py" % name.replace(".", "/")


def install(sources):
    """Puts the finder before all others, once in a process."""
    if not any(type(it).__name__ == "GunicornFinder" for it in sys.meta_path):
        sys.meta_path.insert(0, GunicornFinder(sources))
