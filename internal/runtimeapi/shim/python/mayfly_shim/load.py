"""Loading: from a handler's name to the function."""

import os
import sys

from .failure import RuntimeFailure


def load(handler):
    """Returns the callable that handler ("pkg/module.function") names."""
    module_name, dot, function_name = handler.replace("/", ".").rpartition(".")
    if not dot or not module_name or not function_name:
        raise RuntimeFailure(
            "MalformedHandlerName",
            "Bad handler '{}': write it as module.function, for example app.handler".format(handler),
        )
    if module_name in sys.builtin_module_names:
        raise RuntimeFailure(
            "BuiltInModuleConflict", "Cannot use built-in module {} as a handler module".format(module_name)
        )
    module = _import(module_name)
    try:
        return getattr(module, function_name)
    except AttributeError:
        raise RuntimeFailure(
            "HandlerNotFound", "Handler '{}' missing on module '{}'".format(function_name, module_name)
        ) from None


def _import(name):
    try:
        __import__(name)
        return sys.modules[name]
    except ImportError as error:
        raise RuntimeFailure(
            "ImportModuleError", "Unable to import module '{}': {}".format(name, error), _stack(error)
        ) from error
    except SyntaxError as error:
        place = '  File "{}" Line {}\n    {}'.format(error.filename, error.lineno, (error.text or "").rstrip("\n"))
        raise RuntimeFailure(
            "UserCodeSyntaxError", "Syntax error in module '{}': {}".format(name, error), [place]
        ) from error


def _stack(error):
    from . import failure

    return failure.stack(error)


def search(task_root, opt_root):
    """Sets sys.path as a function expects it.

    The code comes first, then PYTHONPATH and layers, then the standard library,
    then what is installed on the machine: as AWS Lambda has it. The process runs
    with -S, so that no .pth file of the machine is executed.
    """
    version = "python{}.{}".format(*sys.version_info[:2])
    path = [task_root]
    for entry in os.environ.get("PYTHONPATH", "").split(":"):
        _add(path, entry)
    for layer in (os.path.join(opt_root, "python", "lib", version, "site-packages"), os.path.join(opt_root, "python")):
        if os.path.isdir(layer):
            _add(path, layer)
    for entry in sys.path[1:]:
        _add(path, entry)
    for site in (
        os.path.join(sys.prefix, "lib", version, "site-packages"),
        os.path.join("/usr/local/lib", version, "dist-packages"),
        "/usr/lib/python3/dist-packages",
    ):
        debian = site.endswith("dist-packages")
        if os.path.isdir(site) and (not debian or sys.prefix == "/usr"):
            _add(path, site)
    sys.path[:] = path


def _add(path, entry):
    if entry and entry not in path:
        path.append(entry)
