"""Waits of the lab's tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def wait_for(what: Callable[[], Value | None], seconds: float, why: str, pause: float = 0.2) -> Value:
    """The first true value of `what()`; AssertionError with `why` when there is none within `seconds`."""
    until = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < until, f"not within {seconds:g} s: {why}"
        time.sleep(pause)
    return value
