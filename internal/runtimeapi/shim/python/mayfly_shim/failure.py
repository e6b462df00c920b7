"""Failures: how exceptions reach the caller and the log."""

import os

_HERE = os.path.dirname(__file__)


class RuntimeFailure(Exception):
    """A failure that the shim itself reports, of type "Runtime.<kind>"."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.type = "Runtime." + kind
        self.trace = list(trace)


def response(error, request_id):
    """Returns what the caller of a failed function gets."""
    if isinstance(error, RuntimeFailure):
        name, trace = error.type, error.trace
    else:
        name, trace = type(error).__name__, stack(error)
    return {
        "errorMessage": _message(error),
        "errorType": name,
        "requestId": request_id,
        "stackTrace": trace,
    }


def stack(error):
    """Returns the stack from the first frame that is not the shim's own."""
    import traceback

    entries = traceback.extract_tb(error.__traceback__)
    while entries and _ours(entries[0].filename):
        del entries[0]
    return traceback.format_list(entries)


def _ours(filename):
    return filename.startswith((_HERE, "<frozen importlib"))


def _message(error):
    try:
        return str(error)
    except Exception:  # __str__ is user code
        return "<the exception could not be turned into text>"


def log_text(failed):
    """Returns the log event of a response: headline and stack."""
    trace = "".join(failed["stackTrace"])
    head = "[ERROR] {}: {}".format(failed["errorType"], failed["errorMessage"])
    return head + "\nTraceback (most recent call last):\n" + trace.rstrip("\n") if trace else head
