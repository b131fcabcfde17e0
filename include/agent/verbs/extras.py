"""Files of the host's configuration that are an account's alone, as servers tell each other of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..host.shapes import maybe, text

MOST, MOST_BYTES, MOST_TOGETHER = 1000, 1 << 20, 8 << 20
"""How many an account may have, characters of one, and of all of them together."""
Path = Annotated[str, text(1000, r"/[^\0\n]+")]


@dataclass(frozen=True, kw_only=True)
class Extra:
    """`path`: as the account file names it; `leads_to`: the file itself, where the path is a link to it."""

    path: Path
    text: Annotated[str, text(MOST_BYTES)]
    leads_to: Annotated[str | None, maybe(text(1000, r"/[^\0\n]+"))] = None
