"""The page of one server."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from include.registry import states
from include.registry.kinds import ONE_CUSTOMERS, EventKind
from include.registry.queries import board_server
from include.registry.states import MigrationState
from transhumance_airflow.board import runs, words
from transhumance_airflow.board.gather import ServerPage
from transhumance_airflow.board.views.accounts import account_move, account_view
from transhumance_airflow.board.views.plots import gaps, waits
from transhumance_airflow.board.views.to_do import trouble_line


@dataclass(frozen=True)
class Step:
    """One of the eight steps; `stands`: done, now, ahead, or lifted: ops asked for it not to be asked for."""

    number: int
    word: str
    says: str
    stands: str


def view(page: ServerPage) -> dict[str, Any]:
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
        "says": status_sentence(page),
        "stuck": [trouble_line(trouble, run_servers, moves) for trouble in page.troubles],
        "approvals": page.approvals,
        "accounts": [
            account_view(account, [account_move(m, events[m.id]) for m in by_account[account.name]], page.now)
            for account in page.accounts
        ],
        "unclaimed": page.unclaimed,
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


def status_sentence(page: ServerPage) -> str:
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
