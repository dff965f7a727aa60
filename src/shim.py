# What the interpreter of an environment runs for `monoceros install-gunicorn-shim`. Its
# arguments are the path of the extension module, that of the program, and what to do with
# another gunicorn.
import sys


def main(extension, program, replaces):
    if sys.version_info < (3, 10):
        return "%s is Python %s; 3.10 or later is needed" % (sys.executable, sys.version.split()[0])
    from importlib.machinery import ExtensionFileLoader, ModuleSpec

    loader = ExtensionFileLoader("monoceros", extension)
    try:
        module = loader.create_module(ModuleSpec("monoceros", loader, origin=extension))
        loader.exec_module(module)
        print(module.install_gunicorn_shim(program, replaces == "replace"))
    except ImportError as error:
        return "%s cannot load %s: %s" % (sys.executable, extension, error)
    except (OSError, RuntimeError) as error:
        return str(error)


failure = main(*sys.argv[1:])
if failure:
    sys.exit("monoceros: " + failure)
