"""Byte code that the platform made of a function's modules at its deployment.

It lies in a directory of its own, so that the function's tree is as it was
deployed, and is read-only to functions. The modules of the machine keep theirs
where they are, which is why sys.pycache_prefix does not serve.
"""

import sys

import _frozen_importlib_external as external

_UNCHECKED = (1).to_bytes(4, "little")


class Loader(external.SourceFileLoader):
    """Loads a module from the platform's byte code, else as usual."""

    directory = ""

    def get_code(self, fullname):
        try:
            data = memoryview(self.get_data(self.directory + self.path + "c"))
            if data[:4] == external.MAGIC_NUMBER and data[4:8] == _UNCHECKED:
                return external._compile_bytecode(data[16:], name=fullname, source_path=self.path)
        except (OSError, EOFError, ImportError, ValueError):
            pass
        return super().get_code(fullname)


def use(directory, *roots):
    """Looks in directory for byte code of the modules below roots."""
    Loader.directory = directory
    loaders = [
        (Loader if loader is external.SourceFileLoader else loader, suffixes)
        for loader, suffixes in external._get_supported_file_loaders()
    ]
    find = external.FileFinder.path_hook(*loaders)

    def hook(path):
        if path not in roots and not path.startswith(tuple(root + "/" for root in roots)):
            raise ImportError("no code of the function", path=path)
        return find(path)

    sys.path_hooks.insert(0, hook)
