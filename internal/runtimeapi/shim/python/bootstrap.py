"""Starts the Python shim: see the package mayfly_shim beside this file."""

from mayfly_shim import serve

serve.main()
