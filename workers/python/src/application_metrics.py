"""Makes the metrics that an application counts with prometheus_client right in several
processes.

Where PROMETHEUS_MULTIPROC_DIR names a directory, each process counts in files there, and a
reader adds them up. The files of a process are named by an identity, by default its pid: then
those of every process that has ended would stay. Here the identity is a place: a number that
no other living process has. A process locks its place, and the kernel takes the lock back when
it ends, however that happens. The next process in the place goes on with its files, so a
counter never goes back, and there are no more files than places.

What fails here leaves prometheus_client as it is.
"""

import os
import sys

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# The name that older versions of prometheus_client read.
FORMER_VARIABLE = "prometheus_multiproc_dir"
# The module that chooses how values are kept, when it is imported.
MODULE = "prometheus_client.values"
# The file whose bytes are locked: one for each place. src/master/act/metrics_directory.rs reads it.
PLACES = "monoceros.places"
# More processes than this count by their pids.
MOST_PLACES = 4096
# The kinds of gauges that count only while their process lives.
LIVE = ("liveall", "livesum", "livemin", "livemax", "livemostrecent")
# The size of a new file in prometheus_client.
NEW_SIZE = 1 << 16
# What an empty file begins with: the number of bytes in use.
NEW_START = (8).to_bytes(4, sys.byteorder)

# The identity of this process, once it has counted something.
held = []
# The descriptor of the file of places. It is that of the parent after a fork.
opened = []


def watch(directory):
    """Sets the variable if prometheus_client can be imported, and prepares for its import.

    `directory` is the one of the server. A variable that is set already stays; an empty one
    is removed, so that prometheus_client counts in this process only.
    """
    if is_set():
        if not os.environ.get(VARIABLE, "-"):
            del os.environ[VARIABLE]
            return
    elif directory and find("prometheus_client") is not None:
        os.environ[VARIABLE] = directory
    sys.meta_path.insert(0, Finder(directory))
    os.register_at_fork(after_in_child=held.clear)


def is_set():
    return VARIABLE in os.environ or FORMER_VARIABLE in os.environ


def find(name, path=None):
    """The specification of a module that can be imported. It is not imported."""
    for finder in sys.meta_path:
        find_spec = getattr(finder, "find_spec", None)
        spec = find_spec and not isinstance(finder, Finder) and find_spec(name, path)
        if spec:
            return spec
    return None


class Finder:
    """Finds MODULE once, and has its values kept by places."""

    def __init__(self, directory):
        self.directory = directory

    def find_spec(self, name, path=None, target=None):
        if name != MODULE:
            return None
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        spec = find(name, path)
        if hasattr(getattr(spec, "loader", None), "exec_module"):
            # The application has changed the search path, so that it is found only now.
            if self.directory and not is_set():
                os.environ[VARIABLE] = self.directory
            spec.loader = Loader(spec.loader)
        return spec


class Loader:
    """The module's own loader, and then `use_places`."""

    def __init__(self, loader):
        self.loader = loader

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__loader__ = module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        if os.environ.get(VARIABLE):
            try:
                use_places(module)
            except (AttributeError, TypeError):
                # Another version of prometheus_client. It counts by pids.
                pass


def use_places(values):
    """Keeps the values that are made from now on by place.

    The documentation of prometheus_client names this attribute for servers with an identity
    of their own.
    """
    if not values.ValueClass._multiprocess:
        # A version before 0.10, which reads only FORMER_VARIABLE.
        return
    by_place = values.MultiProcessValue(identity)
    values.MmapedDict = made_whole(values.MmapedDict)
    values.ValueClass = by_place


def identity():
    """The place of this process. Called with each change of a value."""
    return held[0] if held else settle()


def settle():
    try:
        name = "p%d" % take_place(os.environ[VARIABLE])
    except (KeyError, OSError):
        # What prometheus_client does without this module.
        name = str(os.getpid())
    held[:] = [name]
    return name


def take_place(directory):
    """Locks a free place, removes what its last process has left of live gauges."""
    import fcntl

    file = open_places(os.path.join(directory, PLACES))
    for place in range(MOST_PLACES):
        try:
            # A lock of the process: a process that it forks has not got it.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):
            continue
        # The size of the file is the number of places that were ever taken.
        os.pwrite(file, b"\n", place)
        for kind in LIVE:
            remove(os.path.join(directory, "gauge_%s_p%d.db" % (kind, place)))
        return place
    raise OSError("all places are taken")


def open_places(path):
    """The descriptor of the parent is used again: closing it would remove the locks."""
    if opened:
        try:
            if os.path.samestat(os.fstat(opened[0]), os.stat(path)):
                return opened[0]
        except OSError:
            pass
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    opened[:] = [os.open(path, flags, 0o600)]
    return opened[0]


def remove(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def made_whole(mmaped_dict):
    """Opens a file so that no reader finds a part of it.

    prometheus_client makes an empty file, and then makes it longer: a reader that opens it
    between these two fails. Here a new file gets its name when it is complete. A file that a
    process has left broken is put aside, since no later process could use its place.
    """

    def open_file(filename, read_mode=False):
        if not read_mode:
            make(filename)
        try:
            return mmaped_dict(filename, read_mode)
        except OSError:
            raise
        except Exception:
            if read_mode:
                raise
            os.replace(filename, filename + ".broken")
            make(filename)
            return mmaped_dict(filename)

    return open_file


def make(filename):
    if os.path.exists(filename):
        return
    draft = filename + ".new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        file = os.open(draft, flags, 0o666)
        try:
            os.ftruncate(file, NEW_SIZE)
            os.pwrite(file, NEW_START, 0)
        finally:
            os.close(file)
        os.rename(draft, filename)
    except OSError:
        # The library reports why it cannot make the file.
        pass
