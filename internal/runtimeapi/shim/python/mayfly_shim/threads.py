"""Threads: several invocations at a time, each in a thread of its own."""

import os
import queue
import sys
import threading
import traceback

from . import output


class Crew:
    """Up to a number of threads that run invocations in the order of their coming."""

    def __init__(self, size, invoke):
        self._size = size
        self._invoke = invoke
        self._work = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads = 0

    def take(self, *invocation):
        """Has a thread run an invocation, now or when one is free."""
        self._work.put(invocation)
        if not self._idle.acquire(blocking=False) and self._threads < self._size:
            self._threads += 1
            name = "invocation-{}".format(self._threads)
            threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self):
        while True:
            invocation = self._work.get()
            try:
                self._invoke(*invocation)
            except SystemExit as stop:
                _end(stop.code)
            except BaseException:
                traceback.print_exc()
                _end(1)
            self._idle.release()


def _end(code):
    """Ends the process as sys.exit does in the main thread."""
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    output.flush()
    os._exit((code or 0) & 0xFF)
