"""How many streams may be open at once: each is a connection that stays, and asks the registry again and again."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


class TooMany(Exception):
    """No further stream; the message says whose there are so many of."""


@dataclass
class OpenStreams:
    """Those of this process: at most so many for one customer that one user acts for, for one user, and in all."""

    of_a_customer: int
    of_a_user: int
    in_all: int
    open: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def one_more(self, user: str, customer: str | None) -> Iterator[None]:
        """Counts a stream until its end. Raises TooMany."""
        with self._lock:
            of_user = sum(number for (whose, _), number in self.open.items() if whose == user)
            if self.open[user, customer] >= self.of_a_customer:
                raise TooMany(f"{self.of_a_customer} streams are open already: close one, or try again later.")
            if of_user >= self.of_a_user:
                raise TooMany(f"{self.of_a_user} streams of {user} are open already: close one, or try again later.")
            if self.open.total() >= self.in_all:
                raise TooMany(f"{self.in_all} streams are open already, of all callers: try again later.")
            self.open[user, customer] += 1
        try:
            yield
        finally:
            with self._lock:
                self.open[user, customer] -= 1
                if not self.open[user, customer]:
                    del self.open[user, customer]
