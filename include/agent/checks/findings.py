"""What the checks find, bounded: a customer can make any number of places, and none of them may fill a report."""

from __future__ import annotations

import time

from ..host.digest import printable
from ..verbs.reports import Checked, Finding, LookedAt

MAX_PLACES = 100
_MAX_TAKEN = 10_000
_MAX_LENGTH = 300


class Findings:
    """Findings as they come. A place is told once for each `what`, with how often it is there; beyond 100 places of a
    check in each store the others are only counted."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], dict[tuple[str, str], list[int]]] = {}
        self._more: dict[tuple[str, str], int] = {}
        self._taken: list[Finding] = []
        self.left: list[str] = []

    def add(self, check: str, where: str, sentence: str, line: int = 0, count: int = 1, group: str = "") -> None:
        """A place of a check; the first `line` of a file that is found is the one that is told.

        A check whose places differ in weight has groups, so that the many do not hide the grave; `sentence` begins with
        the group."""
        places = self._places.setdefault((check, group), {})
        place = places.get((where, sentence))
        if place is not None:
            place[1] += count
        elif len(places) < MAX_PLACES:
            places[where, sentence] = [line, count]
        else:
            self._more[check, group] = self._more.get((check, group), 0) + count

    def leave(self, sentence: str) -> None:
        """Something that was not looked at."""
        self.left.append(sentence)

    def rows(self) -> list[Finding]:
        """The counts of a check add up to all of its places."""
        rows = []
        for (check, group), places in self._places.items():
            for (where, sentence), (line, count) in places.items():
                at = f"{_short(where)}:{line}" if line else _short(where)
                rows.append(Finding(check=check, where=at, what=_short(sentence), count=count))
            if more := self._more.get((check, group)):
                sentence = f"{group}: {more:,} more" if group else f"{more:,} more"
                rows.append(Finding(check=check, where="further places", what=sentence, count=more))
        return rows + self._taken

    def bounded(self, looked_at: LookedAt) -> Checked:
        """All of it, as far as `take` wants it."""
        return Checked(findings=self.rows()[:_MAX_TAKEN], looked_at=looked_at, not_looked_at=self.left[:MAX_PLACES])

    def take(self, checked: Checked) -> None:
        """Take in what a program without rights has found."""
        self._taken += checked.findings[:_MAX_TAKEN]
        self.left += [_short(sentence) for sentence in checked.not_looked_at[:MAX_PLACES]]


def _short(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= _MAX_LENGTH else shown[: _MAX_LENGTH - 3] + "..."


class Clock:
    """How much of a check's time is left, in seconds."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        return self._end - time.monotonic()

    @property
    def expired(self) -> bool:
        return self.left <= 0
