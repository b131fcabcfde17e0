"""Calls a function inside a network namespace, without a process of its own."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")
CLONE_NEWNET = 0x40000000


def inside(netns: str, function: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs) -> Result:
    """The function's result; its sockets and the programs it starts are in `netns`.

    A network namespace is a thread's own, so a thread is made for the call and ends with it.
    """
    outcome: dict[str, Any] = {}

    def call() -> None:
        try:
            _enter(netns)
            outcome["result"] = function(*args, **kwargs)
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=call, name=f"in {netns}")
    thread.start()
    thread.join()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]


def _enter(netns: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(f"/run/netns/{netns}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter the namespace {netns}")
    finally:
        os.close(descriptor)
