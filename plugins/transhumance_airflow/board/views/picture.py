"""The picture of the pool: transits, and those who wait for one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

from include import registry
from include.registry.queries import board
from include.registry.states import ServerState
from transhumance_airflow.board import words
from transhumance_airflow.board.gather import Glance

MOST_WAITING = 20
"""Waiting requests of one plan: a glance, also on a bad day."""


@dataclass(frozen=True)
class Tile:
    """A transit in the picture: of its free `days`, `used` are gone; `tone`: free, busy, leased, soon, over, paused."""

    name: str
    tone: str
    says: str
    server: str | None
    days: int
    used: int = 0
    paused: bool = False


@dataclass(frozen=True)
class Pool:
    """The transits of one plan and those who wait for one, first one first; `more` wait behind them."""

    plan: str
    tiles: list[Tile]
    waiting: list[registry.Queued]
    more: int


def pools(now: Glance) -> list[Pool]:
    """The picture: transits and those who wait, plan by plan."""
    plans = sorted({transit.plan for transit in now.transits} | {queued.plan for queued in now.queue})
    shown = []
    for plan in plans:
        waiting = [queued for queued in now.queue if queued.plan == plan]
        tiles = [tile(transit, now.now) for transit in now.transits if transit.plan == plan]
        shown.append(Pool(plan, tiles, waiting[:MOST_WAITING], max(0, len(waiting) - MOST_WAITING)))
    return shown


def tile(transit: board.PoolTransit, now: datetime) -> Tile:
    """One transit in the picture."""
    paused, drawn = transit.paused_because is not None, max(1, transit.free_days)
    common: dict[str, Any] = {"name": transit.name, "server": transit.server, "paused": paused, "days": drawn}
    if transit.state == ServerState.HANDED_OVER and transit.free_until is not None:
        if transit.billed_until is not None and transit.billed_until <= now:
            return Tile(**common, tone="busy", says="all have left; the host's time", used=drawn)
        days, says = (transit.free_until - now).total_seconds() / 86400, words.left(transit.free_until, now)
        if days <= 0:
            return Tile(**common, tone="over", says=says, used=drawn)
        return Tile(**common, tone="soon" if days < 2 else "leased", says=says, used=max(0, drawn - ceil(days)))
    if transit.state == ServerState.FREE:
        reserved = f"reserved for {transit.reserved_for}" if transit.reserved_for else "free"
        return Tile(**common, tone="paused" if paused else "free", says="paused" if paused else reserved)
    return Tile(**common, tone="busy", says=words.POOL[transit.state])
