"""The connections of a Unix socket, as the kernel tells them."""

import os
import socket
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .system import refuse

_SOCK_DIAG, _DUMP_REQUEST, _DONE = 20, 0x301, 3
_ESTABLISHED, _LISTENING = 1, 10
_FILE, _QUEUE = 1, 4
"""What is asked for of each: the file that it is bound to, its queue."""


def connections(path: Path) -> tuple[list[int], int]:
    """Of the socket that lies at `path`: the inodes of the connections that were accepted, and how many wait for that.

    A socket is known by its file, never by its name: in a mount namespace of their own a customer may bind another
    one to the same path.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return [], 0
    # As the kernel itself writes them down.
    socket_file = status.st_ino & 0xFFFFFFFF, os.major(status.st_dev) << 20 | os.minor(status.st_dev)
    accepted, waiting = [], 0
    for file, state, inode, queued in _streams():
        if file == socket_file and state == _LISTENING:
            waiting += queued
        elif file == socket_file and inode:
            accepted.append(inode)
    return accepted, waiting


@dataclass
class Ages:
    """Since when each connection to a socket has been seen, which is looked at again and again."""

    accepted: dict[int, float] = field(default_factory=dict)
    waiting: list[float] = field(default_factory=list)
    """Of those that wait to be accepted, who came first is first: they have no inode yet."""

    def look(self, accepted: Collection[int], waiting: int, now: float) -> list[float]:
        """What `connections` tells at the moment `now`; gives the moment at which each was seen first."""
        # Who has waited longest is accepted first.
        before, queue = self.accepted, self.waiting
        self.accepted = {inode: before[inode] for inode in accepted if inode in before}
        for inode in accepted:
            if inode not in before:
                self.accepted[inode] = queue.pop(0) if queue else now
        gone = max(0, len(queue) - waiting)
        self.waiting = queue[gone:] + [now] * (waiting - len(queue) + gone)
        return [*self.accepted.values(), *self.waiting]


def _streams() -> Iterator[tuple[tuple[int, int], int, int, int]]:
    """Each Unix socket that is bound to a file and listens or is connected: the file's inode and device, its state, its
    own inode (0 of a connection that was not accepted yet), and how many connections wait at one that listens."""
    states, show = 1 << _ESTABLISHED | 1 << _LISTENING, 1 << _FILE | 1 << _QUEUE
    body = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, states, 0, show, 0xFFFFFFFF, 0xFFFFFFFF)
    header = struct.pack("=IHHII", 16 + len(body), _SOCK_DIAG, _DUMP_REQUEST, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as kernel:
        kernel.settimeout(5)
        kernel.send(header + body)
        while True:
            data = kernel.recv(1 << 20)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind == _DONE:
                    return
                if kind != _SOCK_DIAG:
                    refuse("no_sock_diag", "The kernel does not tell its Unix sockets; load the module unix_diag.")
                attributes = _attributes(data[32:length])
                if file := attributes.get(_FILE):
                    queued = struct.unpack_from("=I", attributes[_QUEUE])[0]
                    yield struct.unpack("=II", file), data[18], struct.unpack_from("=I", data, 20)[0], queued
                data = data[(length + 3) & ~3 :]


def _attributes(data: bytes) -> dict[int, bytes]:
    attributes = {}
    while len(data) >= 4:
        size, name = struct.unpack_from("=HH", data)
        attributes[name] = data[4:size]
        data = data[(size + 3) & ~3 :]
    return attributes
