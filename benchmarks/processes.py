"""Which programs ran when, on the whole machine with its servers, as the kernel tells it (its process connector).

Nothing has to be changed on a server for this, and nothing of Airflow or of the mover takes part in it.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

CONNECTOR, DONE, PROC = 11, 3, 1
LISTEN, IGNORE = 1, 2
EXEC, EXIT = 0x2, 0x80000000
SO_RCVBUFFORCE = 33
TIMEOUT = 5.0
"""Seconds until an end that is known has come through."""
HEADER = struct.Struct("=IHHII")
MESSAGE = struct.Struct("=IIIIHH")
EVENT = struct.Struct("=IIQII")
"""What, processor, nanoseconds of the monotonic clock, pid, its group's pid."""

Span = tuple[float, float]
Kind = Callable[[list[str]], str | None]
"""What a command line is, if it is of interest."""


@dataclass(frozen=True)
class Ran:
    """A program, from its start to its end; times are Unix seconds."""

    kind: str
    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """How long."""
        return self.end - self.begin


class Recorder:
    """Records while the block lasts. Use it in the machine's first network namespace, where the kernel tells."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.ran: list[Ran] = []
        self._running: dict[int, tuple[str, float]] = {}
        self._offset = time.time() - time.monotonic()
        self._over = threading.Event()
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, CONNECTOR)
        self._thread = threading.Thread(target=self._listen, name="processes", daemon=True)

    def __enter__(self) -> Recorder:
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        self._socket.bind((0, PROC))
        self._socket.settimeout(0.2)
        self._ask(LISTEN)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ask(IGNORE)
        self._over.set()
        self._thread.join()
        self._socket.close()
        now = time.time()
        self.ran += [Ran(kind, begin, now) for kind, begin in self._running.values()]

    def last(self, kind: str) -> Ran:
        """The last program of this kind that has ended, or is about to."""
        until = time.monotonic() + TIMEOUT
        while time.monotonic() < until:
            runs = [ran for ran in list(self.ran) if ran.kind == kind]
            if runs:
                return runs[-1]
            time.sleep(0.01)
        raise LookupError(f"Nothing was seen of {kind}.")

    def _ask(self, operation: int) -> None:
        body = MESSAGE.pack(PROC, 1, 0, 0, 4, 0) + struct.pack("=I", operation)
        self._socket.send(HEADER.pack(HEADER.size + len(body), DONE, 0, 0, os.getpid()) + body)

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                data = self._socket.recv(4096)
            except TimeoutError:
                continue
            happened, _, nanoseconds, pid, group = EVENT.unpack_from(data, HEADER.size + MESSAGE.size)
            at = nanoseconds / 1e9 + self._offset
            if happened == EXEC:
                self._begin(pid, at)
            elif happened == EXIT and pid == group and pid in self._running:
                kind, begin = self._running.pop(pid)
                self.ran.append(Ran(kind, begin, at))

    def _begin(self, pid: int, at: float) -> None:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = [word.decode(errors="replace") for word in file.read().split(b"\0")[:-1]]
        except OSError:
            return  # it ended already
        kind = self.kind(words)
        if kind is None:
            # What becomes another program by itself goes on under its new name.
            self._running.pop(pid, None)
        elif pid not in self._running:
            self._running[pid] = (kind, at)


def merged(spans: Iterable[Span], bridge: float = 0.0) -> list[Span]:
    """The same time as spans that do not touch; gaps up to `bridge` seconds count as part of it."""
    union: list[Span] = []
    for begin, end in sorted(spans):
        if union and begin <= union[-1][1] + bridge:
            union[-1] = (union[-1][0], max(end, union[-1][1]))
        else:
            union.append((begin, end))
    return union


def within(spans: Iterable[Span], begin: float, end: float) -> list[Span]:
    """What of the spans lies between two moments."""
    return [(max(b, begin), min(e, end)) for b, e in spans if b < end and e > begin]


def total(spans: Iterable[Span]) -> float:
    """Seconds in which any of them was."""
    return sum(end - begin for begin, end in merged(spans))


def without(spans: Iterable[Span], others: Iterable[Span]) -> float:
    """Seconds in which any of `spans` was and none of `others`."""
    spans, others = list(spans), list(others)
    return total([*spans, *others]) - total(others)
