"""What a person sees while the lab comes up: one line a step, with the seconds it took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

BEGAN = time.monotonic()


class LabError(Exception):
    """Something about the lab cannot be done; the message is one sentence that says what to do."""


def say(text: str) -> None:
    """Print one line, led by the seconds since this program started."""
    print(f"[{time.monotonic() - BEGAN:6.1f} s] {text}", flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Say what was done and how long it took, once it is done."""
    began = time.monotonic()
    try:
        yield
    except BaseException:
        say(f"{text}: failed after {time.monotonic() - began:.1f} s")
        raise
    say(f"{text} ({time.monotonic() - began:.1f} s)")
