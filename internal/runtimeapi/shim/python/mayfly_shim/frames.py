"""Frames: the shim's half of the protocol.

Writes are synchronous and whole, from any thread: what user code printed is with
the platform even if the process ends in the next moment.
"""

import _thread
import os

FD = 3
HEADER = 16

INIT, READY, INIT_ERROR, INVOKE, RESULT, ERROR, LOG, STARTED, FORK, REAP = range(1, 11)
STDERR = 1  # flag of a log frame
FATAL = 1  # flag of an error frame
WAITS = 1  # flag of an invoke frame: its time begins when it runs

# The platform takes no longer text in one log frame.
MAX_LOG = 256 * 1024

# A signal handler may send while this thread sends.
_lock = _thread.RLock()
_forked = False  # this is a child that user code forked: it has no conversation
at_fork = None  # what the child does first if the shim itself forks
_buffer = bytearray(64 * 1024)
_start = 0  # what lies in the buffer: [_start, _end)
_end = 0


def _fill(need):
    """Reads until need bytes, at most the buffer's size, lie in the buffer."""
    global _start, _end
    if _end - _start >= need:
        return
    if _start + need > len(_buffer):
        _buffer[: _end - _start] = _buffer[_start:_end]
        _start, _end = 0, _end - _start
    while _end - _start < need:
        with memoryview(_buffer) as view:
            n = os.readv(FD, [view[_end:]])
        if n == 0:
            os._exit(0)  # the platform closed the conversation
        _end += n


def _take(size):
    """Returns the next size bytes."""
    global _start, _end
    if size <= len(_buffer):
        _fill(size)
        taken = bytes(memoryview(_buffer)[_start : _start + size])
        _start += size
        if _start == _end:
            _start = _end = 0
        return taken
    taken = bytearray(size)
    have = _end - _start
    taken[:have] = _buffer[_start:_end]
    _start = _end = 0
    with memoryview(taken) as view:
        while have < size:
            n = os.readv(FD, [view[have:]])
            if n == 0:
                os._exit(0)
            have += n
    return taken


def receive():
    """Waits for a frame; returns (type, flags, invocation, meta, payload)."""
    header = _take(HEADER)
    length = int.from_bytes(header[0:4], "big")
    meta = int.from_bytes(header[4:8], "big")
    return (
        header[12],
        header[13],
        int.from_bytes(header[8:12], "big"),
        _take(meta) if meta else b"",
        _take(length - meta) if length > meta else b"",
    )


def send(kind, flags, invocation, meta, payload):
    """Sends a frame and returns when the platform's socket has taken it."""
    frame = b"".join(
        (
            (len(meta) + len(payload)).to_bytes(4, "big"),
            len(meta).to_bytes(4, "big"),
            invocation.to_bytes(4, "big"),
            bytes((kind, flags, 0, 0)),
            meta,
            payload,
        )
    )
    try:
        with _lock:
            n = os.write(FD, frame)
            if n < len(frame):
                _send_rest(frame, n)
    except OSError:
        os._exit(1)  # nobody listens any more


def _send_rest(frame, n):
    with memoryview(frame) as view:
        while n < len(frame):
            n += os.write(FD, view[n:])


def send_log(stderr, invocation, seconds, text):
    """Sends a log line; text is bytes and is cut if it is too long."""
    if len(text) > MAX_LOG:
        text = text[:MAX_LOG].decode("utf-8", "ignore").encode("utf-8", "replace")
    if _forked:
        os.write(2 if stderr else 1, text + b"\n")
        return
    meta = int(seconds * 1000000).to_bytes(8, "big")
    send(LOG, STDERR if stderr else 0, invocation, meta, text)


def _after_fork():
    global _forked, _lock
    _lock = _thread.RLock()
    if at_fork:
        at_fork()
    else:
        _forked = True


os.register_at_fork(after_in_child=_after_fork)
