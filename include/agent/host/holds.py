"""What the last holds on this server took besides the account's own data, so that the next can be foretold."""

import json
from statistics import median

from .system import STATE, read_json, write_durably

_HOLDS = STATE / "holds.json"
_KEPT = 20
_FIRST = [0.3, 0.3]
"""Seconds expected on a server that has held nobody yet; that it was busy in one hold says little of the next."""


def usual_rest() -> float:
    """Seconds of a hold that are the same for every account: stopping, committing, releasing."""
    return median([*_FIRST, *(read_json(_HOLDS) or [])])


def note(seconds: float) -> None:
    """Learn from a hold that has just ended."""
    holds = [*(read_json(_HOLDS) or []), round(seconds, 3)]
    write_durably(_HOLDS, json.dumps(holds[-_KEPT:]))


def doubt() -> None:
    """A hold was not begun because of what is expected. What was slowest may have been so for once: it counts no more,
    since nothing else would ever be learned where nothing is tried."""
    holds = read_json(_HOLDS) or []
    if holds:
        holds.remove(max(holds))
        write_durably(_HOLDS, json.dumps(holds))
