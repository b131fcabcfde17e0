"""Connections carried through the two pipes of a program on another server, one after the other.

Each block is told by its length; one without a length ends the connection, and is said once by either side.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from io import BufferedReader
from typing import IO

_BLOCK = 1 << 16


class Line:
    """The pipes. EOFError when the other side has gone."""

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._lock = threading.Lock()

    def say(self, data: bytes) -> None:
        """Carry these bytes over; none is the end of this connection."""
        with self._lock:
            self._outgoing.write(struct.pack(">I", len(data)) + data)
            self._outgoing.flush()

    def heard(self) -> Iterator[bytes]:
        """What comes over, up to the end of this connection."""
        while True:
            (length,) = struct.unpack(">I", self._exactly(4))
            if length > _BLOCK:
                raise EOFError("no block is that long")
            if not length:
                return
            yield self._exactly(length)

    def carry(self, recv: BufferedReader) -> threading.Thread:
        """Say what a socket's file gives, up to its end; the thread that does."""
        thread = threading.Thread(target=self._carry, args=(recv,), daemon=True)
        thread.start()
        return thread

    def _carry(self, recv: BufferedReader) -> None:
        ended = False
        while not ended:
            try:
                block = recv.read1(_BLOCK)
            except OSError:
                block = b""
            ended = not block
            try:
                self.say(block)
            except (OSError, ValueError):
                return

    def _exactly(self, length: int) -> bytes:
        data = self._incoming.read(length)
        if len(data) < length:
            raise EOFError
        return data
