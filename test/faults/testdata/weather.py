"""Goes wrong when and how it is told: by the variable IMPORT while it is imported, by the event later."""

import os
import signal
import threading
import time

hoard = []
count = 0


def do(how):
    global count
    match how:
        case "exit":
            os._exit(3)
        case "raise":
            raise RuntimeError("bad weather")
        case "hang":
            time.sleep(3600)
        case "burn":
            while True:
                pass
        case "eat":
            while True:
                hoard.append(bytearray(os.urandom(1)) * (1 << 20))
        case "leak":
            hoard.append(bytearray(os.urandom(1)) * (8 << 20))
        case "cut":
            os.closerange(3, 1024)
        case "deaf":
            for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(s, signal.SIG_IGN)
        case "count":
            count += 1


if "IMPORT" in os.environ:
    do(os.environ["IMPORT"])


def handler(event, context):
    if "later" in event:
        after = threading.Timer(event.get("after", 0), do, [event["later"]])
        after.daemon = True
        after.start()
    time.sleep(event.get("wait", 0))
    do(event.get("do"))
    return count
