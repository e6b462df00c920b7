"""Output: what is printed becomes log frames that carry the invocation.

Descriptors 1 and 2 stay raw pipes, for subprocesses and extension modules.
"""

import _thread
import io
import sys
import time

from . import frames


class Current:
    """The invocation that output belongs to."""

    number = 0
    request_id = ""


class Stream(io.RawIOBase):
    """Sends each line that is written to it as a log frame."""

    def __init__(self, fd):
        super().__init__()
        self._fd = fd
        # A signal handler may print while this thread prints.
        self._lock = _thread.RLock()
        self._partial = bytearray()

    def writable(self):
        return True

    def fileno(self):
        return self._fd

    def isatty(self):
        return False

    def write(self, data):
        data = bytes(data)
        with self._lock:
            self._partial += data
            if b"\n" in data or len(self._partial) > frames.MAX_LOG:
                *lines, self._partial = self._partial.split(b"\n")
                for line in lines:
                    self._send(line)
                while len(self._partial) > frames.MAX_LOG:
                    self._send(self._partial[: frames.MAX_LOG])
                    del self._partial[: frames.MAX_LOG]
        return len(data)

    def finish_line(self):
        """Sends a line whose end has not come: the invocation is over."""
        with self._lock:
            line, self._partial = self._partial, bytearray()
            if line:
                self._send(line)

    def _send(self, line):
        for at in range(0, max(len(line), 1), frames.MAX_LOG):
            frames.send_log(self._fd == 2, Current.number, time.time(), line[at : at + frames.MAX_LOG])


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
    frames.send_log(stderr, Current.number, time.time(), text.encode("utf-8", "backslashreplace"))
