"""What one run of the agent keeps open from step to step: connections, and programs that wait for questions.

They are opened before a hold, so that nothing has to start inside it, and by one call of another server for the next.
A run is a verb, an operation, or all calls that come over one connection; what it keeps ends with it, not before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import ContextVar, Token, copy_context
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar


class Closable(Protocol):
    def close(self) -> None: ...


Kind = TypeVar("Kind", bound=Closable)
Result = TypeVar("Result")
Given = ParamSpec("Given")


class Kept:
    """A block that keeps one thing of each kind that is asked for in it (`of`), and closes them all at its end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[type, Any] = {}
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Kept:
        self._token: Token[Kept] = _RUN.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _RUN.reset(self._token)
        for thread in self._threads:
            thread.join()
        with ExitStack() as closing:
            for opened in self._kept.values():
                closing.callback(opened.close)

    def of(self, kind: type[Kind]) -> Kind:
        with self._lock:
            if kind not in self._kept:
                self._kept[kind] = kind()
            return self._kept[kind]

    def begin(self, thread: threading.Thread) -> None:
        self._threads.append(thread)
        thread.start()


_RUN: ContextVar[Kept] = ContextVar("what this run keeps")


def of(kind: type[Kind]) -> Kind:
    """The one of this kind that this run keeps; made when it is first asked for."""
    return _RUN.get().of(kind)


class _Answers:
    def __init__(self) -> None:
        self.by_call: dict[Any, Any] = {}

    def close(self) -> None:
        self.by_call.clear()


def once(ask: Callable[Given, Result]) -> Callable[Given, Result]:
    """A question that a run asks once: what it is about does not change meanwhile."""

    @wraps(ask)
    def asked(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        answers, key = of(_Answers).by_call, (ask, args, *kwargs.items())
        if key not in answers:
            answers[key] = ask(*args, **kwargs)
        return answers[key]

    return asked


# --- threads of a run ---


class Threads(ThreadPoolExecutor):
    """Threads that find what the run keeps."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(copy_context().run, work, *args, **kwargs)


def thread(work: Callable[..., Any], *args: Any) -> threading.Thread:
    """A thread that finds what the run keeps; whoever makes it starts it and awaits its end."""
    return threading.Thread(target=copy_context().run, args=(work, *args))


def later(work: Callable[..., Any], *args: Any) -> None:
    """Do this at the same time as all that comes after it; the run ends when it has ended."""
    _RUN.get().begin(thread(work, *args))
