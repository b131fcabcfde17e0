"""Programs of the host's own before and after a move.

A hook is an executable of root's in HOOKS, named as its step. It gets one JSON object on standard input, agrees by
exit status 0, and refuses by any other with one line. docs/hooks.md is the contract.
"""

from __future__ import annotations

from typing import Any

from .own_programs import OwnProgram
from .system import CONFIG

HOOKS = CONFIG / "hooks"
SECONDS = 60.0
"""How long a hook may take: a person or an API of the host's may be slow, and nobody's visitors wait for it."""
MAX_BYTES = 64 << 10
"""How much it may say. Only the first line is used."""


def run(name: str, given: dict[str, Any], seconds: float = SECONDS) -> bool:
    """Run the hook of this name with what it is given; False where the host has none."""
    hook = OwnProgram("hook", HOOKS / name)
    if not hook.is_there():
        return False
    hook.run(given, seconds, MAX_BYTES)
    return True
