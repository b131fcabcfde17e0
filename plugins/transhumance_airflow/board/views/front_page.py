"""The front page: the figures, who waits for whom, what moves, the campaigns."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include import registry
from include.registry.queries import board
from include.registry.states import CAMPAIGN, CampaignState, MigrationState, MoveState, ServerState
from transhumance_airflow.board import runs, words
from transhumance_airflow.board.gather import Glance
from transhumance_airflow.board.views.picture import pools
from transhumance_airflow.board.views.to_do import stuck

MOST = 6
"""Lines of one group on the front page; the rest is a link to the list."""

MOST_SHOWN = 20
"""Stuck things and moves on the front page: a glance, also on a bad day."""


@dataclass(frozen=True)
class Line:
    """One line of a group: what it is about, what is so, and how it stands (calm, soon, late)."""

    server: str
    about: str
    says: str
    since: datetime
    tone: str = "calm"
    path: str | None = None


@dataclass(frozen=True)
class Group:
    """Those who wait for one party. `state` filters the list of servers to the rest."""

    title: str
    for_whom: str
    lines: list[Line]
    all: int
    state: str | None = None


@dataclass(frozen=True)
class MoveLine:
    """A move at work. `progress` is a share of 1, None when nobody can tell."""

    account: str
    server: str
    says: str
    way: str
    progress: float | None
    ends: str
    path: str


@dataclass(frozen=True)
class CampaignView:
    """A campaign: a bar of parts (state, word, how many, from where, how wide in percent), where it is, and which
    accounts it has not moved, with the reason."""

    id: int
    title: str
    says: str
    path: str
    live: bool
    paused: bool
    parts: list[tuple[str, str, int, float, float]]
    not_moved: list[dict[str, str]]


def view(now: Glance) -> dict[str, Any]:
    """What the front page shows, without the list of servers."""
    waits, moving = stuck(now), [move for move in now.moving if move.state != MoveState.RETURNED]
    return {
        "now": now.now,
        "numbers": numbers(now, len(waits)),
        "stuck": waits[:MOST_SHOWN],
        "more_stuck": max(0, len(waits) - MOST_SHOWN),
        "groups": groups(now),
        "moves": [move_line(move, now.now) for move in moving[:MOST_SHOWN]],
        "more_moves": max(0, len(moving) - MOST_SHOWN),
        "pools": pools(now),
        "charges": now.charges,
        "campaigns": [campaign(one) for one in now.campaigns],
        "events": now.events,
    }


def numbers(now: Glance, stopped: int) -> list[tuple[str, int, str]]:
    """The figures at the top: (word, count, tone)."""
    waiting: defaultdict[str, int] = defaultdict(int)
    for one in now.under_way:
        waiting[whom(one, now)] += 1
    late = sum(over(one, now.now) for one in now.under_way)
    return [
        ("stuck", stopped, "late" if stopped else "calm"),
        ("to approve", len(now.approvals), "soon" if now.approvals else "calm"),
        ("moving now", sum(move.state != MoveState.RETURNED for move in now.moving), "calm"),
        ("wait for the customer", waiting["customer"], "calm"),
        ("wait for the pool", waiting["pool"], "calm"),
        ("the host works on", waiting["host"], "calm"),
        ("leases over", late, "late" if late else "calm"),
        ("transits free", sum(t.state == ServerState.FREE and not t.paused_because for t in now.transits), "calm"),
    ]


def whom(one: board.UnderWay, now: Glance) -> str:
    """For whom a migration waits: ops, customer, pool, or host."""
    if any(approval.run == one.run_id for approval in now.approvals):
        return "ops"
    others: dict[str, str] = {MigrationState.HANDED_OVER: "customer", MigrationState.WAITING_FOR_TRANSIT: "pool"}
    return others.get(one.state, "host")


def groups(now: Glance) -> list[Group]:
    """Who waits for whom. Those who have the least time left come first."""
    by = defaultdict(list)
    for one in now.under_way:
        by[whom(one, now)].append(one)
    expected = {queued.migration: queued.place for queued in now.queue}
    far = datetime.max.replace(tzinfo=now.now.tzinfo)
    customer = sorted(by["customer"], key=lambda one: one.free_until or far)
    pool = sorted(by["pool"], key=lambda one: (one.plan, one.place or 0))
    host = sorted(by["host"], key=lambda one: one.state_since)
    approvals = [
        Line(_server_of(approval, now), "", approval.subject, approval.since, "soon", approval.path)
        for approval in now.approvals
    ]
    return [
        Group("Wait for you", "ops", approvals[:MOST], len(approvals)),
        Group(
            "Wait for the customer",
            "customer",
            [_for_customer(one, now.now) for one in customer[:MOST]],
            len(customer),
            MigrationState.HANDED_OVER,
        ),
        Group(
            "Wait for the pool",
            "pool",
            [_for_pool(one, expected.get(one.id), now.now) for one in pool[:MOST]],
            len(pool),
            MigrationState.WAITING_FOR_TRANSIT,
        ),
        Group(
            "The host works on",
            "host",
            [Line(one.server, one.customer or "", words.STATES[one.state], one.state_since) for one in host[:MOST]],
            len(host),
        ),
    ]


def _server_of(approval: runs.Approval, now: Glance) -> str:
    servers = {migration.run_id: migration.server for migration in now.under_way}
    servers |= {finishing.run_id: finishing.server for finishing in now.finishing}
    return servers.get(approval.run, "")


def _for_customer(one: board.UnderWay, now: datetime) -> Line:
    done = f"{one.left} of {words.counted(one.accounts, 'account')} performed"
    if one.free_until is None:
        return Line(one.server, one.customer or "", done, one.state_since)
    tone = "late" if over(one, now) else "soon" if (one.free_until - now).days < 2 else "calm"
    return Line(one.server, one.customer or "", f"{done}; {words.left(one.free_until, now)}", one.state_since, tone)


def _for_pool(one: board.UnderWay, place: registry.Place | None, now: datetime) -> Line:
    if place is None:
        return Line(one.server, one.customer or "", "is being served", one.state_since)
    expected = f"expected {words.when(place.estimate, now)}" if place.estimate else "nobody can tell when"
    says = f"place {place.place} of {place.of} for {one.plan}; {expected}"
    return Line(one.server, one.customer or "", says, one.state_since, "calm" if place.estimate else "soon")


def over(one: board.UnderWay | board.PoolTransit, now: datetime) -> bool:
    """Whether the free days of a lease are over while it still counts."""
    return one.free_until is not None and one.free_until <= now and (one.billed_until is None or one.billed_until > now)


def move_line(move: board.Moving, now: datetime) -> MoveLine:
    """A move at work, with how far it probably is by what such moves took before."""
    taken = (now - move.began_at).total_seconds()
    typical = move.typical_seconds
    if move.state == MoveState.COMMITTED:
        progress, ends = 1.0, "lives there; tidying up"
    elif not typical:
        progress, ends = None, "cannot be told yet"
    elif taken < typical:
        progress, ends = taken / typical, f"in about {words.lasting(typical - taken)}"
    else:
        progress, ends = 0.99, "any moment; longer than usual"
    way = f"{move.from_server} → {move.to_server}"
    path = runs.run_path(runs.DAG_OF[move.direction], move.run_id)
    says = f"test: {words.MOVING[move.state]}" if move.direction == "test" else words.MOVING[move.state]
    return MoveLine(move.account, move.server, says, way, progress, ends, path)


def campaign(one: board.RunningCampaign) -> CampaignView:
    """A campaign with its accounts as parts of one bar."""
    of = sum(one.accounts.values()) or 1
    parts, begins = [], 0.0
    for state, word in words.CAMPAIGN.items():
        if count := one.accounts.get(state, 0):
            parts.append((state, word, count, round(begins, 2), round(100 * count / of, 2)))
            begins += 100 * count / of
    says = f"{one.state}, wave {one.wave} of {one.waves}" + (f": {one.why}" if one.why else "")
    paused = one.state == CampaignState.PAUSED
    path = runs.run_path("run_campaign", one.run_id)
    live = one.state not in CAMPAIGN.ended
    return CampaignView(one.id, one.title, says, path, live, paused, parts, one.not_moved)
