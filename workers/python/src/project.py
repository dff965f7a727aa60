"""Reads from the loaded application what the server has to know: the static files and the
host names of a Django project, and debuggers.

The project does not notice it. `django.conf.settings` stores every value that is read
through it, `STATIC_URL` with the script name of that moment. So values are read from the
object that it wraps.
"""

import os
import sys
import types

# The host names that Django allows while DEBUG is on and ALLOWED_HOSTS is empty.
LOCAL_HOSTS = (".localhost", "127.0.0.1", "[::1]")
# The most objects that are looked at behind an application.
MOST_PARTS = 200
# The flag of a function that takes `*args` (`inspect.CO_VARARGS`).
VARIABLE_ARGUMENTS = 0x04
# The longest text of one finding.
LONGEST_FINDING = 2000


class DjangoProject:
    """The settings of the loaded Django project, as they are set."""

    def __init__(self, lazy):
        self._lazy = lazy
        self._set = lazy._wrapped

    def get(self, name, default=None):
        """The value of a setting; it may be of any type."""
        return getattr(self._set, name, default)

    def words(self, name):
        """The words of a setting that is a list."""
        value = self.get(name)
        return [str(word) for word in value] if isinstance(value, (list, tuple, set)) else []

    @property
    def debug(self):
        return bool(self.get("DEBUG"))

    def unnoticed(self, ask):
        """Calls a function that reads settings in Django's way, and removes the values that
        `django.conf.settings` has stored meanwhile."""
        stored = vars(self._lazy)
        known = set(stored)
        try:
            return ask()
        finally:
            for name in set(stored) - known:
                del stored[name]


def find_project():
    """The Django project of this process; None without one."""
    conf = sys.modules.get("django.conf")
    lazy = getattr(conf, "settings", None)
    if lazy is None or not lazy.configured:
        return None
    return DjangoProject(lazy)


def one_line(text):
    return " ".join(str(text).split())[:LONGEST_FINDING]


# Static files


def static_files(script_name):
    """The directories of the project's static files, and what is wrong with them.

    Returns pairs of a prefix of decoded paths and its directories in the order in which
    they are searched, and texts for the operator. `script_name` is the prefix below which
    the application is mounted.
    """
    findings = []
    project = find_project()
    if project is None:
        findings.append(
            "static: auto serves nothing: no Django project is loaded; name the directories "
            "instead, such as static: {/static/: DIRECTORY}"
        )
        return [], findings
    options = storage_options(project)
    url = options.get("base_url", project.get("STATIC_URL"))
    prefixes = url_prefixes(url, forced_script_name(project, script_name)) if url else []
    if not prefixes:
        reason = "has no path of its own" if url else "is not set"
        findings.append("static: auto serves nothing: STATIC_URL %s: %r" % (reason, url))
        return [], findings
    places = None
    if project.debug:
        places = project.unnoticed(lambda: finder_places(project, findings))
    if places is None:
        places = root_places(options.get("location") or project.get("STATIC_ROOT"), findings)
    if not places:
        return [], findings
    return list(merge(prefixes, places)), findings


def storage_options(project):
    """The options of the storage of static files (STORAGES, Django 4.2)."""
    storages = project.get("STORAGES")
    storage = storages.get("staticfiles") if isinstance(storages, dict) else None
    options = storage.get("OPTIONS") if isinstance(storage, dict) else None
    return options if isinstance(options, dict) else {}


def forced_script_name(project, script_name):
    forced = project.get("FORCE_SCRIPT_NAME")
    name = (script_name if forced is None else str(forced)).strip("/")
    return "/" + name if name else ""


def url_prefixes(url, script_name):
    """The decoded paths below which requests for static files arrive.

    A relative STATIC_URL is below the script name. A proxy in front may remove the script
    name from the paths of requests, so the path without it is another prefix.
    """
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(str(url))
    path = unquote(parts.path)
    if not parts.netloc and not path.startswith("/"):
        path = script_name + "/" + path
    path = "/" + path.strip("/")
    paths = [path]
    if script_name and path.startswith(script_name + "/"):
        paths.append(path[len(script_name) :])
    # The whole site would be static.
    return [path + "/" for path in paths if path not in ("/", script_name)]


def root_places(root, findings):
    """STATIC_ROOT, where `collectstatic` puts all files."""
    if not root:
        findings.append(
            "static: auto serves nothing: STATIC_ROOT of the Django project is not set; set it, "
            "run manage.py collectstatic, and reload"
        )
        return []
    root = os.path.abspath(os.fspath(root))
    try:
        with os.scandir(root) as entries:
            state = None if any(entries) else "is empty"
    except FileNotFoundError:
        state = "does not exist"
    except OSError as error:
        state = "cannot be read (%s)" % error.strerror
    if state is not None:
        findings.append(
            "static: auto: STATIC_ROOT of the Django project, %s, %s: run manage.py "
            "collectstatic" % (root, state)
        )
    return [("", root)]


def finder_places(project, findings):
    """The directories of the staticfiles finders, each with its prefix below STATIC_URL;
    None if the project has no finders."""
    apps = sys.modules["django.apps"].apps
    if not apps.apps_ready or not apps.is_installed("django.contrib.staticfiles"):
        return None
    from django.contrib.staticfiles import finders
    from django.utils.module_loading import import_string

    places = []
    for name in project.words("STATICFILES_FINDERS"):
        try:
            found = places_of(import_string(name), finders)
        except Exception as error:
            findings.append("static: auto: the finder %s failed: %s" % (name, one_line(error)))
            continue
        if found is None:
            findings.append(
                "static: auto: the files of the finder %s are not served, since it is not one of "
                "Django's; static-fallthrough leaves them to the application" % name
            )
            continue
        places.extend(found)
    return places


def places_of(finder_class, finders):
    """The directories of a finder. None if it searches in a way of its own."""
    known = (
        (finders.FileSystemFinder, ("find", "find_location"), of_file_system),
        (finders.AppDirectoriesFinder, ("find", "find_in_app"), of_apps),
        (finders.BaseStorageFinder, ("find",), of_storage),
    )
    for base, methods, directories in known:
        if issubclass(finder_class, base):
            if any(getattr(finder_class, it) is not getattr(base, it) for it in methods):
                return None
            return [
                (prefix.strip("/"), os.path.abspath(os.fspath(directory)))
                for prefix, directory in directories(finder_class())
            ]
    return None


def of_file_system(finder):
    return [(prefix, finder.storages[root].location) for prefix, root in finder.locations]


def of_apps(finder):
    return [("", finder.storages[app].location) for app in finder.apps]


def of_storage(finder):
    return [("", finder.storage.location)]


def merge(prefixes, places):
    """Pairs of a prefix and its directories, of which the one with the longest prefix
    counts. A directory without a prefix is searched also for files below the prefix of
    another one."""
    for prefix in prefixes:
        for below in dict.fromkeys(["", *(below for below, _ in places)]):
            directories = []
            for own, directory in places:
                if own == "" or below == own or below.startswith(own + "/"):
                    rest = below[len(own) :].strip("/")
                    directory = os.path.join(directory, rest) if rest else directory
                    if directory not in directories:
                        directories.append(directory)
            if directories:
                yield prefix + (below + "/" if below else ""), directories


# Host names


def allowed_hosts():
    """The host names of ALLOWED_HOSTS, in the form of the setting allowed-hosts, and what
    is wrong with them. None in place of the names if every name is allowed."""
    project = find_project()
    if project is None:
        text = "allowed-hosts: auto allows every name: no Django project is loaded"
        return None, [text]
    value = project.get("ALLOWED_HOSTS")
    if not isinstance(value, (list, tuple, set)):
        text = (
            "allowed-hosts: auto leaves the check to Django: ALLOWED_HOSTS is no list, but of "
            "the type %s" % type(value).__name__
        )
        return None, [text]
    if project.get("USE_X_FORWARDED_HOST"):
        text = "allowed-hosts: auto leaves the check to Django: USE_X_FORWARDED_HOST is set"
        return None, [text]
    hosts = list(value)
    if not hosts and project.debug:
        hosts = LOCAL_HOSTS
    names, findings = [], []
    for host in hosts:
        host = str(host).strip().lower()
        if host == "*":
            return None, findings
        if "*" in host or not host.strip("."):
            findings.append(
                "allowed-hosts: auto: %r in ALLOWED_HOSTS allows no host; for the subdomains of "
                "a name Django has .example.org" % host
            )
        elif host.startswith("."):
            names.extend((host[1:], "*" + host))
        else:
            names.append(host)
    if not names:
        findings.append(
            "allowed-hosts: auto refuses every request: ALLOWED_HOSTS of the Django project "
            "allows no host"
        )
    return names, findings


# Debuggers


def debuggers(application):
    """The debuggers that the application has turned on, one text for each."""
    found = []
    project = find_project()
    if project is not None:
        if project.debug:
            found.append(
                "Django's DEBUG is True: error pages show code, settings and requests"
            )
        names = project.words("INSTALLED_APPS") + project.words("MIDDLEWARE")
        if any(name.split(".")[0] == "debug_toolbar" for name in names):
            found.append("the Django Debug Toolbar is installed: it shows queries and settings")
    for part in parts_of(application):
        if is_kind(part, "flask.app", "Flask") and is_debugged(part):
            found.append("Flask's debug is True: errors are shown with their code")
        elif is_kind(part, "werkzeug.debug", "DebuggedApplication"):
            found.append("werkzeug's debugger wraps the application: it runs code of clients")
    return list(dict.fromkeys(found))


def is_kind(value, module, name):
    """Whether the type of a value has this name. `isinstance` would call code of objects
    that stand for others."""
    return any(
        base.__module__ == module and base.__qualname__ == name for base in type(value).__mro__
    )


def is_debugged(flask):
    try:
        return bool(flask.debug)
    except Exception:
        return False


def parts_of(application):
    """The application, and what it wraps as far as attributes and closures show that."""
    ahead, seen = [application], {}
    while ahead and len(seen) < MOST_PARTS:
        part = ahead.pop(0)
        if id(part) not in seen:
            # The reference keeps the number from another object.
            seen[id(part)] = part
            yield part
            ahead.extend(it for it in wrapped_by(part) if is_application(it))


def is_application(value):
    """Whether a value can be called, and is no class."""
    return callable(value) and not issubclass(type(value), type)


def wrapped_by(part):
    """The values of a wrapper in which an application may be."""
    if isinstance(part, types.MethodType):
        return [part.__self__, part.__func__]
    if isinstance(part, types.FunctionType):
        return wrapped_by_function(part)
    if is_kind(part, "flask.app", "Flask"):
        return [attributes(part).get("wsgi_app")]
    if is_kind(part, "django.core.handlers.wsgi", "WSGIHandler"):
        return []
    values = [getattr(type(part), "__call__", None)]
    for value in attributes(part).values():
        if isinstance(value, dict):
            values.extend(value.values())
        elif isinstance(value, (list, tuple)):
            values.extend(value)
        else:
            values.append(value)
    return values


def wrapped_by_function(function):
    values = [vars(function).get("__wrapped__")]
    for cell in function.__closure__ or ():
        try:
            values.append(cell.cell_contents)
        except ValueError:
            # It is not set yet.
            continue
    # A function that takes what an application takes may call a global one.
    code = function.__code__
    if code.co_argcount >= 2 or code.co_flags & VARIABLE_ARGUMENTS:
        values.extend(function.__globals__.get(name) for name in code.co_names)
    return values


def attributes(part):
    """The attributes of an object itself, without a call of its code."""
    import functools

    if type(part) is functools.partial:
        return {"func": part.func, "args": part.args, "keywords": part.keywords}
    try:
        found = dict(object.__getattribute__(part, "__dict__"))
    except (AttributeError, TypeError):
        found = {}
    for base in type(part).__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            member = vars(base).get(name)
            if isinstance(member, types.MemberDescriptorType):
                try:
                    found[name] = member.__get__(part)
                except AttributeError:
                    continue
    return found


# Django's own checks


def deployment_messages():
    """The messages of `manage.py check --deploy`, each as one line."""
    if find_project() is None or not sys.modules["django.apps"].apps.ready:
        return []
    return check_messages(True)


def check_messages(with_deployment):
    """The messages of Django's system checks, each as one line."""
    from django.core import checks

    messages = checks.run_checks(include_deployment_checks=with_deployment)
    texts = [one_line(message) for message in messages if not message.is_silenced()]
    return ["django: " + (text[3:] if text.startswith("?: ") else text) for text in texts]
