"""From what was gathered to what a template shows: plain values and sentences, no markup."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import Any
from urllib.parse import urlencode

from include import registry
from include.moves import proof
from include.registry import states
from include.registry.kinds import ONE_CUSTOMERS, EventKind
from include.registry.queries import board, board_server
from include.registry.states import CAMPAIGN, CampaignState, MigrationState, MoveState, ServerState, TestState
from transhumance_airflow.board import runs, words
from transhumance_airflow.board.gather import PAGE, Glance, ServerPage

MOST = 6
"""Lines of one group on the front page; the rest is a link to the list."""

MOST_SHOWN = 20
"""Stuck things, moves, and waiting requests of one plan on the front page: a glance, also on a bad day."""


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
    """Those who wait for one party. `standing` filters the list of servers to the rest."""

    title: str
    for_whom: str
    lines: list[Line]
    all: int
    standing: str | None = None


@dataclass(frozen=True)
class Stuck:
    """Something that goes on only when somebody does something. `again`: the task to clear, where that is safe;
    `resume`: the paused transit to offer again."""

    about: str
    server: str
    says: str
    to_do: str
    path: str | None = None
    link: str = "Open it in Airflow"
    again: dict[str, Any] | None = None
    resume: str | None = None
    since: datetime | None = None


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


def front(now: Glance) -> dict[str, Any]:
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


def over(one: board.UnderWay | board.PoolTransit, now: datetime) -> bool:
    """Whether the free days of a lease are over while it still counts."""
    return one.free_until is not None and one.free_until <= now and (one.billed_until is None or one.billed_until > now)


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
            [Line(one.server, one.customer or "", words.STANDING[one.state], one.state_since) for one in host[:MOST]],
            len(host),
        ),
    ]


def _server_of(approval: runs.Approval, now: Glance) -> str:
    return next((one.server for one in now.under_way if one.run_id == approval.run), "")


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


def stuck(now: Glance) -> list[Stuck]:
    """What goes on only when somebody does something, and what that is."""
    servers = {one.run_id: one.server for one in now.under_way}
    accounts = {move.run_id: move for move in now.moving}
    found = [trouble_line(trouble, servers, accounts) for trouble in now.troubles]
    known = {trouble.run for trouble in now.troubles}
    found += [
        Stuck(
            move.account,
            move.server,
            f"The move to {move.to_server} returned; the account serves from {move.from_server}.",
            "See why in its run, correct that, then clear the run.",
            runs.run_path(runs.DAG_OF[move.direction], move.run_id),
            since=move.state_since,
        )
        for move in now.moving
        if move.state == MoveState.RETURNED and move.run_id not in known
    ]
    wanted = {queued.plan for queued in now.queue}
    found += [
        Stuck(
            transit.name,
            transit.name,
            f"It is paused ({transit.paused_because}) while servers wait for a transit of plan {transit.plan}.",
            "Offer it again when what it was paused for is over.",
            resume=transit.name,
            since=transit.state_since,
        )
        for transit in now.transits
        if transit.paused_because and transit.plan in wanted and transit.state == ServerState.FREE
    ]
    found += [
        Stuck(
            queued.server,
            queued.server,
            f"Nobody can tell when a transit of plan {queued.plan} will be free.",
            "Add one, offer a paused one again, or allow larger ones for this plan.",
        )
        for queued in now.queue
        if queued.place.estimate is None
    ]
    return found


def trouble_line(trouble: runs.Trouble, servers: dict[str, str], accounts: dict[str, Any]) -> Stuck:
    """A failed task: what it was about, and what to press."""
    move = accounts.get(trouble.run)
    server = servers.get(trouble.run) or (move.server if move else "")
    again = {"dag_id": trouble.dag, "dag_run_id": trouble.run, "task_ids": [trouble.task]}
    return Stuck(
        move.account if move else server,
        server,
        f"{trouble.task} failed in {trouble.dag}.",
        words.TO_DO.get(trouble.task, "Its log says why. Correct that, then try again."),
        trouble.path,
        "Open the task's log",
        None if trouble.task in words.BY_HAND else again,
        since=trouble.since,
    )


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


def pools(now: Glance) -> list[Pool]:
    """The picture: transits and those who wait, plan by plan."""
    plans = sorted({transit.plan for transit in now.transits} | {queued.plan for queued in now.queue})
    shown = []
    for plan in plans:
        waiting = [queued for queued in now.queue if queued.plan == plan]
        tiles = [tile(transit, now.now) for transit in now.transits if transit.plan == plan]
        shown.append(Pool(plan, tiles, waiting[:MOST_SHOWN], max(0, len(waiting) - MOST_SHOWN)))
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


@dataclass(frozen=True)
class ServerList:
    """One page of the list, and the ways to the others."""

    rows: list[board.Listed]
    standings: list[tuple[str, str, int]]
    standing: str
    text: str
    page: int
    pages: int
    of: int

    def query(self, **other: Any) -> str:
        """The address's query for this list with something else in it."""
        asked = {"state": self.standing, "q": self.text, "page": self.page} | other
        return urlencode({name: value for name, value in asked.items() if value not in ("", None, 1)})


def server_list(rows: list[board.Listed], counts: dict[str, int], standing: str, text: str, page: int) -> ServerList:
    """The list of servers; its filters have every state that some server stands in."""
    of = rows[0].of if rows else 0
    order = {state: number for number, state in enumerate(words.STANDING)}
    chips = [(s, words.STANDING.get(s, s), count) for s, count in counts.items()]
    chips.sort(key=lambda chip: order.get(chip[0], 99))
    return ServerList(rows, chips, standing, text, page, max(1, -(-of // PAGE)), of)


# --- one server ---


@dataclass(frozen=True)
class Step:
    """One of the eight steps; `stands`: done, now, ahead, or lifted: ops asked for it not to be asked for."""

    number: int
    word: str
    says: str
    stands: str


@dataclass
class Happened:
    """One point of an account's timeline."""

    word: str
    at: datetime | None
    says: str = ""
    bad: bool = False


@dataclass
class AccountMove:
    """One move of an account, as its timeline shows it."""

    direction: str
    state: str
    path: str
    points: list[Happened] = field(default_factory=list)
    ways: list[dict[str, str]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """What the account has and was not carried."""
    scope: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By part of the account, what was compared and what was not."""


@dataclass
class AccountView:
    """An account of the server: where it lives, its newest test, and its moves."""

    name: str
    lives_on: str
    domains: list[str]
    test: str
    test_tone: str
    test_names: dict[str, str]
    reported: int | None
    moves: list[AccountMove]


def steps(kind: str, migration: board_server.ServersMigration | None) -> list[Step]:
    """Where the server is on its path; none for one that goes no such way. One that was given up stands nowhere on
    it. A gate that was lifted says nothing of tests."""
    if migration is None and kind not in ONE_CUSTOMERS:
        return []
    given_up = migration is not None and migration.state in states.GIVEN_UP
    at = 0 if migration is None else -1 if given_up else words.STEP_OF[migration.state]
    path = [
        Step(n + 1, word, says, "ahead" if at < n else "now" if at == n else "done")
        for n, (word, says) in enumerate(words.STEPS)
    ]
    if migration is not None and migration.lift_gate_because and at > 0:
        lifted = Step(1, path[0].word, f"Ops lifted the gate: {migration.lift_gate_because}", "lifted")
        return [lifted, *path[1:]]
    return path


def server(page: ServerPage) -> dict[str, Any]:
    """What a server's page shows."""
    migration = page.migration
    by_account = defaultdict(list)
    for move in page.moves:
        by_account[move.account].append(move)
    events = defaultdict(list)
    for event in page.events:
        events[event.move].append(event)
    run_servers = {migration.run_id: migration.server} if migration else {}
    moves = {move.run_id: _Named(move.account, move.original) for move in page.moves}
    return {
        "now": page.now,
        "server": page.server,
        "migration": migration,
        "steps": steps(page.server.kind, migration),
        "says": standing(page),
        "stuck": [trouble_line(trouble, run_servers, moves) for trouble in page.troubles],
        "approvals": page.approvals,
        "accounts": [
            account_view(account, [account_move(m, events[m.id]) for m in by_account[account.name]], page.now)
            for account in page.accounts
        ],
        "ips": page.ips,
        "events": page.events[::-1],
        "waits": waits(page),
        "gaps": gaps(page),
        "report": any(event.kind == EventKind.REPORT_WRITTEN for event in page.events),
        "run": runs.run_path("migrate_server", migration.run_id) if migration else None,
    }


@dataclass(frozen=True)
class _Named:
    account: str
    server: str


def standing(page: ServerPage) -> str:
    """Where the server is and whom it waits for, in a sentence."""
    migration = page.migration
    if migration is None:
        tested = sum(account.tested_at is not None and not account.blockers for account in page.accounts)
        of = words.counted(len(page.accounts), "account")
        return f"It is not being migrated. {tested} of {of} tested without a blocker." if page.accounts else "Empty."
    sentence = next(state.sentence for state in states.MIGRATION.states if state.name == migration.state)
    if migration.state == MigrationState.WAITING_FOR_TRANSIT and page.place:
        place = page.place
        expected = f"expected {words.when(place.estimate, page.now)}" if place.estimate else "nobody can tell when"
        return f"{sentence} Place {place.place} of {place.of}; a transit is {expected}."
    if migration.state == MigrationState.HANDED_OVER and migration.free_until:
        return f"{sentence} Free of charge: {words.left(migration.free_until, page.now)}."
    return sentence


def account_view(account: board_server.Lived, moves: list[AccountMove], now: datetime) -> AccountView:
    """An account with what its newest test says."""
    there = account.test_state == TestState.READY
    if account.test_state in (TestState.PREPARING, TestState.COPYING):
        says, tone = "being tested", "calm"
    elif account.tested_at is None:
        says, tone = "not tested", "soon"
    else:
        found = [words.counted(n, w) for n, w in ((account.blockers, "blocker"), (account.warnings, "warning")) if n]
        tone = "late" if account.blockers else "soon" if account.warnings else "done"
        says = f"tested {words.ago(account.tested_at, now)}: {' and '.join(found) or 'nothing in the way'}"
    names = (account.test_names or {}) if there else {}
    return AccountView(account.name, account.server, account.domains, says, tone, names, account.reported, moves)


def account_move(move: registry.Move, events: list[registry.Event]) -> AccountMove:
    """A move's timeline: asked, copied, followed, held, verified, committed, done, by its figures and events."""
    at = {event.kind: event.at for event in events}
    copied, switched = (move.figures.get(verb) or {} for verb in ("copy", "switch"))
    seen = AccountMove(move.direction, move.state, runs.run_path(runs.DAG_OF[move.direction], move.run_id))
    seen.points.append(Happened("asked", at.get(EventKind.MOVE_BEGAN), f"by {move.requested_by}"))
    if copied:
        amount = f"{words.counted(copied.get('files', 0), 'file')}, {words.size(copied.get('bytes', 0))}"
        took = f" in {words.lasting(copied['seconds'])}" if copied.get("seconds") else ""
        seen.points.append(Happened("copied", at.get(EventKind.MOVE_COPYING), amount + took))
    elif EventKind.MOVE_COPYING in at:
        seen.points.append(Happened("copying", at[EventKind.MOVE_COPYING], "it goes on serving"))
    ways = switched.get("ways") or copied.get("ways") or []
    seen.ways = [{key: str(way.get(key, "")) for key in ("store", "database", "way", "why")} for way in ways]
    if ways:
        followed = sum(way.get("way") != "dump" for way in ways)
        seen.points.append(
            Happened(
                "followed", at.get(EventKind.MOVE_SWITCHING), f"{followed} of {words.counted(len(ways), 'database')}"
            )
        )
    if switched.get("held_ms") is not None:
        says = f"for {words.milliseconds(switched['held_ms'])}"
        if switched.get("expected_ms") is not None:
            says += f", {words.milliseconds(switched['expected_ms'])} expected"
        seen.points.append(Happened("held", at.get(EventKind.MOVE_SWITCHING), says))
    if switched.get("verified"):
        proven = proof.of(move.figures)
        counts = ", ".join(f"{number:,} {what}" for what, number in proven.counts.items() if number)
        word = "verified" if proven.verified else "equal" if proven.equal else "not equal"
        without = f"; {words.counted(len(proven.left), 'thing')} not carried" if proven.left else ""
        seen.points.append(Happened(word, None, counts + without, bad=not proven.equal))
        seen.left, seen.scope = proven.left, proven.scope
    if move.committed_at:
        gone = "; the old copy is gone" if move.state == MoveState.DONE else ""
        seen.points.append(Happened("committed", move.committed_at, f"lives on {move.to_server}{gone}"))
    if move.state == MoveState.RETURNED:
        seen.points.append(Happened("returned", move.ended_at, f"serves from {move.from_server}", bad=True))
    return seen


def waits(page: ServerPage) -> dict[str, Any]:
    """The plot of waits: a bar a move, by what servers and probes measured, in ms."""
    probed = {(e.account, e.detail.get("direction")): e.detail for e in page.events if e.kind == EventKind.PROBE_WAIT}
    labels, held, expected, longest = [], [], [], []
    for move in page.moves:
        switched = move.figures.get("switch") or {}
        if move.committed_at is None:
            continue
        labels.append(f"{move.account} {move.direction}")
        held.append(_number(switched.get("held_ms")))
        expected.append(_number(switched.get("expected_ms")))
        longest.append(_number(probed.get((move.account, move.direction), {}).get("longest_wait_ms")))
    series = [("held", held), ("expected", expected), ("longest wait of a visitor", longest)]
    return {
        "labels": labels,
        "series": [(name, values) for name, values in series if any(v is not None for v in values)],
    }


GAPS = {"reroute_ips_to_transit": "to transit", "reroute_ips_home": "home", "whole run": "at all"}


def gaps(page: ServerPage) -> dict[str, Any]:
    """The plot of the longest gap between two answers of an IP, at each step, in ms."""
    # The newest of each: what was measured once more replaces what was.
    newest = {
        (e.detail.get("ip"), e.detail.get("step")): e.detail for e in page.events if e.kind == EventKind.PROBE_GAP
    }
    probed = list(newest.values())
    return {
        "labels": [f"{seen.get('ip')} {GAPS.get(seen.get('step') or '', seen.get('step'))}" for seen in probed],
        "series": [("longest gap", [_number(seen.get("longest_gap_ms")) for seen in probed])] if probed else [],
    }


def _number(value: Any) -> float | None:
    return round(float(value), 1) if isinstance(value, int | float) else None


def as_json(value: Any) -> str:
    """JSON that is safe within a script element, whatever a name holds."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
