"""Waits of the lab's tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def wait_for(what: Callable[[], Any], seconds: float, why: str, pause: float = 0.2) -> Any:
    """The first true value of `what()`; AssertionError with `why` when there is none within `seconds`."""
    until = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < until, f"not within {seconds:g} s: {why}"
        time.sleep(pause)
    return value
