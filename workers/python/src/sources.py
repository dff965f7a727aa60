"""Finds the files that this process reads its code from, for the setting `reload`, and has
changed files compiled again.

The bytecode that Python keeps in `__pycache__` names the source by its modification time in
seconds and by its size, so it can be that of an earlier version. Here it is used only if it is
younger than the last change of the source's inode.
"""

import os
import sys
import sysconfig
import time
from importlib import machinery, util

# A source that has been changed within this time may change again, unseen by a later comparison.
SETTLED = 2_000_000_000

# Directories of Python, and names of directories with installed packages.
STANDARD = [os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")]
INSTALLED = ("site-packages", "dist-packages")
# What has no directory that could be watched: the server's own module is a descriptor.
OF_THE_KERNEL = ("/proc/", "/dev/")


class SourceNotes:
    """What is noted: `note` takes absolute paths, each any number of times."""

    def __init__(self, note):
        self._note = note

    def path(self, path):
        # Python's own parts have names such as `<frozen os>`.
        if isinstance(path, str) and path and not path.startswith("<"):
            path = os.path.abspath(path)
            if not path.startswith(OF_THE_KERNEL):
                self._note(path)

    def modules(self):
        """Notes the files of all modules that are loaded."""
        for module in list(sys.modules.values()):
            try:
                # Without a call of the module's code: some load others when they are asked.
                names = object.__getattribute__(module, "__dict__")
            except (AttributeError, TypeError):
                continue
            for path in (names.get("__file__"), getattr(names.get("__spec__"), "origin", None)):
                if isinstance(path, str) and os.path.isabs(path):
                    self.path(path)

    def failure(self, error):
        """Notes the files that an exception, and those that it follows from, are about."""
        ahead, seen = [error], {}
        while ahead:
            error = ahead.pop()
            if error is None or id(error) in seen:
                continue
            seen[id(error)] = error
            ahead += [error.__cause__, error.__context__]
            if isinstance(error, SyntaxError):
                self.path(error.filename)
            if isinstance(error, ModuleNotFoundError) and error.name:
                self.missing(error.name, sys.path)
            traceback = error.__traceback__
            while traceback is not None:
                self.path(traceback.tb_frame.f_code.co_filename)
                traceback = traceback.tb_next

    def missing(self, name, directories):
        """Notes where a module would be that is in none of these directories."""
        last = name.rpartition(".")[2]
        for directory in directories:
            place = os.path.join(directory, last)
            self.path(place + ".py")
            self.path(place)


class MissingModules:
    """The last finder (`importlib`): modules that it is asked for are in no place."""

    def __init__(self, notes):
        self._notes = notes

    def find_spec(self, name, path=None, target=None):
        directories = sys.path if path is None else path
        self._notes.missing(name, [it for it in directories if is_own(it)])
        return None


def is_own(directory):
    """Whether a directory belongs to the project, and not to what is installed."""
    if not isinstance(directory, str) or not os.path.isdir(directory):
        return False
    path = os.path.realpath(directory)
    if any(name in path.split(os.sep) for name in INSTALLED):
        return False
    return not any(path == it or path.startswith(it + os.sep) for it in STANDARD)


def install(note):
    """Notes every file from which a module is imported from now on. A second call changes
    nothing."""
    loader, extensions = machinery.SourceFileLoader, machinery.ExtensionFileLoader
    if hasattr(loader.path_stats, "notes"):
        return loader.path_stats.notes
    notes = SourceNotes(note)
    path_stats, create_module = loader.path_stats, extensions.create_module

    def noted_stats(self, path):
        notes.path(path)
        return trusted_stats(path, path_stats(self, path))

    def noted_module(self, spec):
        notes.path(spec.origin)
        return create_module(self, spec)

    noted_stats.notes = notes
    loader.path_stats, extensions.create_module = noted_stats, noted_module
    sys.meta_path.append(MissingModules(notes))
    return notes


def trusted_stats(path, stats):
    """What the import system compares bytecode with.

    Raises OSError for a source that has just been changed: its bytecode is neither used nor
    written. For one that is younger than its bytecode the size is one that no source has, so new
    bytecode is made.
    """
    changed = os.stat(path).st_ctime_ns
    if time.time_ns() - changed < SETTLED:
        raise OSError("%s has just been changed" % path)
    try:
        cached = os.stat(util.cache_from_source(path)).st_ctime_ns
    except (OSError, NotImplementedError):
        return stats
    return stats if cached > changed else {**stats, "size": -1}


# Django's URLs


def load_urls(project):
    """Imports the URLs of a Django project, and with them its views."""
    found = project.find_project()
    if found is None or not found.get("ROOT_URLCONF"):
        return
    from django.urls import get_resolver

    ahead = [get_resolver()]
    while ahead:
        ahead.extend(it for it in ahead.pop().url_patterns if hasattr(it, "url_patterns"))


# Templates, tags and translations


def note_trees(notes, project, application):
    """Notes the directories of the project of which every file counts: templates of Django and
    Jinja, and what Django finds by looking into directories."""
    found = []
    if project.find_project() is not None:
        found += django_directories() + app_directories()
    for part in project.parts_of(application):
        if project.is_kind(part, "flask.app", "Flask"):
            found += flask_directories(part)
    for path in map(os.fspath, found):
        if is_own(path) or not os.path.exists(path):
            notes.path(path)


def django_directories():
    from django.template import engines

    found = []
    try:
        backends = engines.all()
    except Exception:
        # The first template that is used shows what is wrong.
        return found
    for backend in backends:
        engine = getattr(backend, "engine", None)
        found += getattr(backend, "template_dirs", ())
        for loader in getattr(engine, "template_loaders", ()):
            found += loader_directories(loader)
        found += jinja_directories(getattr(getattr(backend, "env", None), "loader", None))
    return found


def app_directories():
    """Where Django looks for template tags and translations. A later one may be missing yet."""
    from django.apps import apps
    from django.conf import settings

    paths = [app.path for app in apps.get_app_configs() if is_own(app.path)]
    found = [os.path.join(path, name) for path in paths for name in ("templatetags", "locale")]
    return found + list(settings.LOCALE_PATHS)


def loader_directories(loader):
    inner = [it for other in getattr(loader, "loaders", ()) for it in loader_directories(other)]
    return inner + (list(loader.get_dirs()) if hasattr(loader, "get_dirs") else [])


def flask_directories(flask):
    try:
        owners = [flask, *flask.blueprints.values()]
        return [it for owner in owners for it in jinja_directories(owner.jinja_loader)]
    except Exception:
        return []


def jinja_directories(loader):
    """The directories of a loader of Jinja, and of those that it asks."""
    if loader is None:
        return []
    found = list(getattr(loader, "searchpath", ()))
    root = getattr(loader, "_template_root", None)
    inner = [*getattr(loader, "loaders", ()), *getattr(loader, "mapping", {}).values()]
    if isinstance(root, str):
        found.append(root)
    for other in inner:
        if hasattr(other, "get_source"):
            found += jinja_directories(other)
    return found


# In place of the application


def unloadable(environ, start_response):
    """Responds to requests that were accepted before the application could not be loaded."""
    start_response("500 Internal Server Error", [("Content-Type", "text/plain; charset=utf-8")])
    return [b"the application cannot be loaded; the error log has the reason\n"]


def is_debugged(project, application):
    """Whether the application, as far as it is loaded, is in debug mode."""
    found = project.find_project()
    if found is not None and found.debug:
        return True
    if application is None:
        return os.environ.get("FLASK_DEBUG", "").lower() not in ("", "0", "false", "no")
    return any(
        project.is_kind(part, "flask.app", "Flask") and project.is_debugged(part)
        for part in project.parts_of(application)
    )
