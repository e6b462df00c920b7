"""Output: what is printed becomes log frames that carry the invocation.

Descriptors 1 and 2 stay raw pipes, for subprocesses and extension modules.
"""

import _thread
import io
import sys
import time
from _contextvars import ContextVar

from . import frames


class Current:
    """The invocation that output belongs to, when one runs at a time."""

    number = 0
    request_id = ""


# The invocation as (number, request id) when several run at a time, each in a
# thread: what a thread or a task of user code prints that has another context
# belongs to nobody.
_context = ContextVar("invocation", default=(0, ""))
_several = False


def share():
    """Has several invocations at a time from now on."""
    global _several
    _several = True


def shared():
    """Reports whether several invocations run at a time."""
    return _several


def begin(number, request_id):
    """Output of this context belongs to an invocation from now on."""
    if _several:
        _context.set((number, request_id))
    else:
        Current.number, Current.request_id = number, request_id


def owner():
    """Returns (number, request id) of the invocation that what runs belongs to."""
    return _context.get() if _several else (Current.number, Current.request_id)


class Stream(io.RawIOBase):
    """Sends each line that is written to it as a log frame."""

    def __init__(self, fd):
        super().__init__()
        self._fd = fd
        # A signal handler may print while this thread prints.
        self._lock = _thread.RLock()
        self._partial = {}  # by the invocation's number: lines without their end

    def writable(self):
        return True

    def fileno(self):
        return self._fd

    def isatty(self):
        return False

    def write(self, data):
        data = bytes(data)
        number = owner()[0]
        with self._lock:
            partial = self._partial.pop(number, None)
            partial = bytearray(data) if partial is None else partial + data
            if b"\n" in data or len(partial) > frames.MAX_LOG:
                *lines, partial = partial.split(b"\n")
                for line in lines:
                    self._send(number, line)
                while len(partial) > frames.MAX_LOG:
                    self._send(number, partial[: frames.MAX_LOG])
                    del partial[: frames.MAX_LOG]
            if partial:
                self._partial[number] = partial
        return len(data)

    def finish_line(self):
        """Sends a line whose end has not come: the invocation is over."""
        number = owner()[0]
        with self._lock:
            line = self._partial.pop(number, None)
            if line:
                self._send(number, line)

    def _send(self, number, line):
        for at in range(0, max(len(line), 1), frames.MAX_LOG):
            frames.send_log(self._fd == 2, number, time.time(), line[at : at + frames.MAX_LOG])


_streams = (Stream(1), Stream(2))


def install():
    """Takes the place of sys.stdout and sys.stderr."""
    sys.stdout = sys.__stdout__ = _text(_streams[0])
    sys.stderr = sys.__stderr__ = _text(_streams[1])


def _text(stream):
    return io.TextIOWrapper(stream, encoding="utf-8", errors="backslashreplace", write_through=True)


def flush():
    """Sends what was printed without the end of its line."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # user code may have put anything there, or closed it
            pass
    for stream in _streams:
        stream.finish_line()


def event(stderr, text):
    """Sends one log event, which may have several lines."""
    frames.send_log(stderr, owner()[0], time.time(), text.encode("utf-8", "backslashreplace"))
