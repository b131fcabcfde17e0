"""The number of what is said here: the orchestrator and the agents, and agents among each other, tell it first."""

from __future__ import annotations

from typing import Any

PROTOCOL = 6
"""What they say to each other, and mean by it; another number when any of it changes."""
THE_ORCHESTRATOR = "the orchestrator"


def mismatch(us: str, them: str, theirs: Any) -> str | None:
    """Who of the two is older, and what to do, in a sentence; None where both mean the same. `theirs`: what they say
    their number is, if they say one."""
    number = theirs if type(theirs) is int else None
    if number == PROTOCOL:
        return None
    older, newer = (us, them) if number is not None and number > PROTOCOL else (them, us)
    to_do = "put its present release in place" if older == THE_ORCHESTRATOR else "type python -m cli upgrade"
    numbers = f"{us} has protocol {PROTOCOL}, {them} {'none' if number is None else number}"
    return f"{older[0].upper()}{older[1:]} is older than {newer} ({numbers:.200}): {to_do}, then try again."
