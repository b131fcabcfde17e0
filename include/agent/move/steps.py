"""The steps of a hold and of a release, with the time that each took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..stores.store import Report
from ..verbs.reports import Step


def _untold(**_: object) -> None:
    """Nobody asks how far it is."""


class Steps:
    """The time each step took, in order of their ends."""

    def __init__(self, report: Report = _untold) -> None:
        self.report = report
        self.taken: list[Step] = []

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self.report(text=name)
        began = time.monotonic()
        try:
            yield
        finally:
            self.taken.append(Step(name=name, seconds=round(time.monotonic() - began, 3)))
