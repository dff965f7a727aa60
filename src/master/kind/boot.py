# The first code that a worker's interpreter runs: it checks whether this interpreter
# can run a worker, and loads the extension module. Every version of Python must be able
# to parse this file, so that an old one can report that it is too old.
import os
import sys

# With -c the current directory comes first, whatever it is by then, and before the
# standard library. The one that the server serves from is added by its name.
if sys.path and sys.path[0] == "":
    del sys.path[0]


def fail(text):
    import json

    message = json.dumps({"Failed": {"failure": "Interpreter", "text": text}})
    os.write(int(os.environ["MONOCEROS_CHANNEL"]), message.encode("utf-8"))
    os._exit(1)


def check():
    import platform

    name = platform.python_implementation()
    if name != "CPython" or sys.version_info < (3, 10):
        fail(
            "%s is %s %s; CPython 3.10 or later is needed, name one with --python"
            % (sys.executable, name, platform.python_version())
        )


def load(path, name):
    from importlib.machinery import ExtensionFileLoader, ModuleSpec

    # importlib.util would do the same with four lines less and half a MiB more.
    loader = ExtensionFileLoader("monoceros", path)
    spec = ModuleSpec("monoceros", loader, origin=path)
    try:
        module = loader.create_module(spec)
        module.__spec__, module.__loader__, module.__file__ = spec, loader, name
        sys.modules["monoceros"] = module
        loader.exec_module(module)
    except ImportError as error:
        fail("%s cannot load %s: %s" % (sys.executable, name, error))
    return module


if getattr(sys, "implementation", None) is None or sys.implementation.name != "cpython":
    check()
if sys.version_info < (3, 10):
    check()
# The file that the master has open. Its path may lead to another file by now.
name, number = sys.argv.pop(), os.environ.pop("MONOCEROS_EXTENSION")
path = "/proc/self/fd/" + number
module = load(path if os.path.exists(path) else name, name)
os.close(int(number))
# Python writes to a file, a pipe or the journal when its buffer is full: output would
# appear late, or never after a kill.
if hasattr(sys.stdout, "reconfigure"):
    sys.stdout.reconfigure(line_buffering=True)
# The name of the program as the application finds it; until now it was "-c".
sys.argv[0] = "monoceros"
module.run_worker()
