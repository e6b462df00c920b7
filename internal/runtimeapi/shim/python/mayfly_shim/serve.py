"""Serving: binds this process to a function and runs its handler."""

import builtins
import os
import sys
import time

from . import codec, context, failure, frames, load, logs, output
from .failure import RuntimeFailure

# Where the platform puts byte code that it has made of the function's modules.
_COMPILED = "/var/lang/pycache"


def main():
    """Serves until the platform closes the conversation."""
    os.set_inheritable(frames.FD, False)
    output.install()
    frames.send(frames.STARTED, 0, 0, b"", b"")
    kind, _, _, meta, _ = frames.receive()
    if kind != frames.INIT:
        os._exit(1)
    bound = codec.loads(meta)
    several = bound["concurrency"] > 1
    if several:
        output.share()
    if bound.get("zygote"):
        from . import zygote

        zygote.settle()
        handler = _init(bound)
        bound = _renew(zygote.wait())
    else:
        handler = _init(bound)
    invoke = _invoke
    if several:
        from . import threads

        invoke = threads.Crew(bound["concurrency"], _invoke).take
    frames.send(frames.READY, 0, 0, b"", b"")
    while True:
        kind, flags, number, meta, payload = frames.receive()
        if kind == frames.INVOKE:
            invoke(handler, bound["timeout"] if flags & frames.WAITS else None, number, codec.loads(meta), payload)


def _init(meta):
    """Loads the handler; a failure is reported and ends the process."""
    _adopt(meta["env"])
    os.chdir(meta["taskRoot"])
    load.search(meta["taskRoot"], meta["optRoot"])
    if os.path.isdir(_COMPILED):
        from . import compiled

        compiled.use(_COMPILED, meta["taskRoot"], meta["optRoot"])
    builtins.exit = builtins.quit = sys.exit  # what -S leaves out
    logs.expect()
    try:
        return load.load(meta["handler"])
    except Exception as error:
        failed = failure.response(error, "")
        _report(frames.INIT_ERROR, 0, failed)
    sys.exit(1)


def _renew(meta):
    """Makes a copy of a zygote the environment that meta describes."""
    bound = codec.loads(meta)
    _adopt(bound["env"])
    os.chdir(bound["taskRoot"])
    return bound


def _adopt(env):
    """Makes env the whole environment of this process."""
    zone = os.environ.get("TZ")
    for name in list(os.environ):
        if name not in env:
            del os.environ[name]
    for name, value in env.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    if env.get("TZ") != zone:
        time.tzset()


def _invoke(handler, timeout, number, meta, payload):
    """Runs one invocation; timeout is None if its deadline is known."""
    if timeout is not None:
        meta["deadline"] = int(time.time() * 1000) + timeout
    output.begin(number, meta["requestId"])
    if not output.shared():
        _trace(meta.get("traceId"))
    try:
        answer = _call(handler, meta, payload)
    except Exception as error:
        failed = failure.response(error, meta["requestId"])
        del error
        _report(frames.ERROR, number, failed)
    except BaseException:  # sys.exit and its like: the platform sees how it ends
        output.flush()
        raise
    else:
        output.flush()
        frames.send(frames.RESULT, 0, number, b"", answer)
    output.begin(0, meta["requestId"])


def _trace(trace_id):
    if trace_id:
        os.environ["_X_AMZN_TRACE_ID"] = trace_id
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)


def _call(handler, meta, payload):
    try:
        event = codec.loads(payload)
    except ValueError as error:
        raise RuntimeFailure("UnmarshalError", "Unable to unmarshal input: {}".format(error)) from error
    result = handler(event, context.LambdaContext(meta))
    try:
        return codec.dumps(result).encode("utf-8")
    except Exception as error:
        raise RuntimeFailure("MarshalError", "Unable to marshal response: {}".format(error)) from error


def _report(kind, number, failed):
    """Logs a failure and sends it."""
    output.flush()
    output.event(True, failure.log_text(failed))
    meta = codec.dumps({"errorType": failed["errorType"][:1024]}).encode("utf-8", "backslashreplace")
    frames.send(kind, 0, number, meta, codec.dumps(failed).encode("utf-8", "backslashreplace"))
