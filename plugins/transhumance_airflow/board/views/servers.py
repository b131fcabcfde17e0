"""The list of servers, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from include.registry.queries import board
from transhumance_airflow.board import words
from transhumance_airflow.board.gather import PAGE


@dataclass(frozen=True)
class ServerList:
    """One page of the list, and the ways to the others."""

    rows: list[board.Listed]
    states: list[tuple[str, str, int]]
    state: str
    text: str
    page: int
    pages: int
    of: int

    def query(self, **other: Any) -> str:
        """The address's query for this list with something else in it."""
        asked = {"state": self.state, "q": self.text, "page": self.page} | other
        return urlencode({name: value for name, value in asked.items() if value not in ("", None, 1)})


def server_list(rows: list[board.Listed], counts: dict[str, int], state: str, text: str, page: int) -> ServerList:
    """The list of servers; its filters have every state that some server stands in."""
    of = rows[0].of if rows else 0
    order = {state: number for number, state in enumerate(words.STATES)}
    chips = [(s, words.STATES.get(s, s), count) for s, count in counts.items()]
    chips.sort(key=lambda chip: order.get(chip[0], 99))
    return ServerList(rows, chips, state, text, page, max(1, -(-of // PAGE)), of)
