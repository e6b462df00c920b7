"""Zygotes: a runtime that has loaded a function and copies itself for the platform.

It serves no invocation. Each copy is a runtime of its own, with a conversation
of its own, that need not load anything.
"""

import gc
import os
import sys

from . import frames, output

_DESCRIPTORS = 3  # that come with a FORK frame: the conversation, stdout, stderr


def settle():
    """Leaves the loading to a child and returns there.

    Copies are process 1 of their sandboxes. Libraries that tell a copy by its
    process id, as OpenSSL does to renew its random numbers, would not see a
    difference if the process that loads them were process 1 too.
    """
    frames.at_fork = lambda: None
    child = os.fork()
    frames.at_fork = None
    if child == 0:
        return
    for fd in (1, 2, frames.FD):
        os.close(fd)
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == child:
            os._exit(status >> 8 or status and 128 + (status & 127))


def wait():
    """Forks whenever the platform asks for it. Returns in each copy the meta of the copy's own INIT frame."""
    import _socket

    output.flush()
    gc.collect()
    gc.freeze()  # a collection would write to all objects, and so copy their memory
    conversation = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, frames.FD)
    frames.send(frames.READY, 0, 0, b"", b"")
    copies = {}
    while True:
        kind, number, descriptors = _receive(conversation)
        if kind == frames.FORK:
            copy = _fork(conversation, descriptors)
            if copy == 0:
                return _begin()
            copies[number] = copy
        elif kind == frames.REAP and number in copies:
            os.waitpid(copies.pop(number), 0)


def _receive(conversation):
    """Waits for a frame without meta and payload; returns (type, number, descriptors)."""
    header, ancillary, _, _ = conversation.recvmsg(frames.HEADER, 4 * _DESCRIPTORS + 64, _cloexec())
    while 0 < len(header) < frames.HEADER:
        more = conversation.recv(frames.HEADER - len(header))
        header = header + more if more else b""
    if not header:
        os._exit(0)  # the platform closed the conversation
    descriptors = []
    for _, _, data in ancillary:
        descriptors += [int.from_bytes(data[at : at + 4], sys.byteorder) for at in range(0, len(data) - 3, 4)]
    return header[12], int.from_bytes(header[8:12], "big"), descriptors


def _cloexec():
    import _socket

    return getattr(_socket, "MSG_CMSG_CLOEXEC", 0)


def _fork(conversation, descriptors):
    """Forks; the copy has the descriptors in the place of this process's own. Returns what os.fork does."""

    def take_over():
        conversation.detach()
        for fd, place in zip(descriptors, (frames.FD, 1, 2)):
            os.dup2(fd, place, place != frames.FD)

    # Before anything else of the copy runs, user code's own hooks included: what
    # these print belongs to the copy.
    frames.at_fork = take_over
    try:
        copy = os.fork()
    except OSError:
        copy = -1  # the platform sees that there is none
    finally:
        frames.at_fork = None
        for fd in descriptors:
            os.close(fd)
    return copy


def _begin():
    """Begins the life of a copy."""
    _renew()
    kind, _, _, meta, _ = frames.receive()
    if kind != frames.INIT:
        os._exit(1)
    return meta


def _renew():
    """Gives a copy random numbers of its own, where its libraries do not see to that themselves.

    The random module does, and secrets and uuid4 ask the kernel. Generators that
    user code has made are its own affair.
    """
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()
    ssl = sys.modules.get("_ssl")
    if ssl is not None:
        ssl.RAND_add(os.urandom(32), 32.0)
