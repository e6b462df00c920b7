"""Writes the byte code of a function's modules to descriptor 3.

The platform runs it in a sandbox when a version is deployed, with the directories
of the code as arguments. It parses the code and runs none of it. Each module is a
record: the lengths of name and byte code, 4 bytes each, then both. The name is
the source's path with a "c" at its end; what does not compile is left out, for
its import to fail in the function's own words.
"""

import importlib.util
import marshal
import os
import sys

# Hash-based and never checked: the code of a version does not change.
_UNCHECKED = (1).to_bytes(4, "little")


def _compiled(path):
    with open(path, "rb") as file:
        source = file.read()
    code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    return importlib.util.MAGIC_NUMBER + _UNCHECKED + importlib.util.source_hash(source) + marshal.dumps(code)


def main(roots):
    with open(3, "wb") as out:
        for root in roots:
            for directory, directories, names in os.walk(root):
                directories[:] = [d for d in directories if d != "__pycache__"]
                for path in (os.path.join(directory, n) for n in names if n.endswith(".py")):
                    try:
                        name, data = os.fsencode(path + "c"), _compiled(path)
                    except Exception:
                        continue
                    out.write(len(name).to_bytes(4, "big") + len(data).to_bytes(4, "big") + name + data)


main(sys.argv[1:])
