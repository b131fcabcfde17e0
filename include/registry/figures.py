"""What agents measured of a move, as its row and its events keep it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from include.agent.host.codec import decode
from include.agent.host.shapes import Strange
from include.agent.verbs.reports import Copied, Switched


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What the move's copy and switch gave, nothing where they gave none; and the wait that its customer agreed to."""

    copy: Copied = Copied()
    switch: Switched = Switched()
    longest_wait_seconds: float | None = None


def read_figures(stored: Mapping[str, Any]) -> Figures:
    """The figures among what is stored. A part that an earlier release kept otherwise is as if it were missing: no page
    and no report fails for it."""
    return Figures(
        copy=_read(Copied, stored.get("copy")) or Copied(),
        switch=_read(Switched, stored.get("switch")) or Switched(),
        longest_wait_seconds=_read(float, stored.get("longest_wait_seconds")),
    )


def _read(kind: Any, stored: Any) -> Any:
    try:
        return decode(kind, stored)
    except Strange:
        return None
