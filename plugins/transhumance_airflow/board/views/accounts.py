"""An account on the page of its server: its newest test, and the timeline of its moves."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from include import registry
from include.agent.host.scope import Scope
from include.agent.verbs.reports import Copied, Way
from include.moves import proof
from include.registry.kinds import EventKind
from include.registry.queries import board_server
from include.registry.states import MoveState, TestState
from transhumance_airflow.board import runs, words


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
    ways: list[Way] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """What the account has and was not carried."""
    scope: dict[str, Scope] = field(default_factory=dict)
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
    copied, switched = move.figures.copy, move.figures.switch
    seen = AccountMove(move.direction, move.state, runs.run_path(runs.DAG_OF[move.direction], move.run_id))
    seen.points.append(Happened("asked", at.get(EventKind.MOVE_BEGAN), f"by {move.requested_by}"))
    if copied != Copied():
        amount = f"{words.counted(copied.files, 'file')}, {words.size(copied.bytes)}"
        took = f" in {words.lasting(copied.seconds)}" if copied.seconds else ""
        seen.points.append(Happened("copied", at.get(EventKind.MOVE_COPYING), amount + took))
    elif EventKind.MOVE_COPYING in at:
        seen.points.append(Happened("copying", at[EventKind.MOVE_COPYING], "it goes on serving"))
    seen.ways = switched.ways or copied.ways
    if seen.ways:
        followed = sum(way.way != "dump" for way in seen.ways)
        says = f"{followed} of {words.counted(len(seen.ways), 'database')}"
        seen.points.append(Happened("followed", at.get(EventKind.MOVE_SWITCHING), says))
    if switched.held_ms is not None:
        says = f"for {words.milliseconds(switched.held_ms)}"
        if switched.expected_ms is not None:
            says += f", {words.milliseconds(switched.expected_ms)} expected"
        seen.points.append(Happened("held", at.get(EventKind.MOVE_SWITCHING), says))
    if switched.verified is not None:
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
