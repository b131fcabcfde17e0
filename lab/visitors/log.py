"""A visitor's log: one JSON line an event, each whole, whatever ends the visitor."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Any


class Log:
    """Appends lines to a file; a line is written at once, so a killed visitor loses none that it has told."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "a", buffering=1 << 16)  # as long as the program
        self._lock = threading.Lock()

    def write(self, event: dict[str, Any], flush: bool = True) -> None:
        """Appends one event. `flush=False` leaves it to the next one that does, or to `close`."""
        line = json.dumps(event, separators=(",", ":")) + "\n"
        with self._lock:
            self._file.write(line)
            if flush:
                self._file.flush()

    def close(self) -> None:
        """Writes out what is left."""
        with self._lock:
            self._file.close()


def stopping() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    event = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: event.set())
    return event
