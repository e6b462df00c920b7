import ctypes
import os
import sys
import time

SCALE = 1 << 20


def sleep(event):
    time.sleep(event["ms"] / 1000)
    return os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]


def wait(event):
    """Waits for a file to appear next to the code, which it can't do itself."""
    while not os.path.exists("/var/task/" + event["file"]):
        time.sleep(0.01)
    return os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]


def eat(event):
    hoard = []
    while True:
        hoard.append(bytearray(os.urandom(1)) * SCALE)


def use(event):
    hoard = bytearray(b"x") * (event["mb"] * SCALE)
    return len(hoard)


def survive(event):
    """Opts out of dying with the node, and stays."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)
    print("settled in", flush=True)
    time.sleep(event["ms"] / 1000)


def fail(event):
    raise ValueError("told to fail")


def leave(event):
    os._exit(event["code"])


DEEDS = {f.__name__: f for f in (sleep, wait, eat, use, survive, fail, leave)}


def handler(event, context):
    if isinstance(event, dict) and event.get("do") in DEEDS:
        return DEEDS[event["do"]](event)
    return event


def version(event, context):
    if isinstance(event, dict) and "ms" in event:
        print("waiting", flush=True)
        time.sleep(event["ms"] / 1000)
    return os.environ["VERSION"]
