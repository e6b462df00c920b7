"""The Python shim: runs a function's handler for the platform.

It speaks the frames of docs/runtime-contract.md on descriptor 3, serves one
invocation after the other on the main thread, works on CPython 3.8 and newer
and uses the standard library alone. Every import here delays each cold start:
modules that few functions need are imported when they are needed.
"""
