"""From the registry's rows to the API's answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import psycopg
from airflow.api_fastapi.app import API_ROOT_PATH

from include import registry
from include.catalogue import Entry as CatalogueEntry
from include.moves import proof
from include.panel import event_text, rules, status
from include.registry import states
from include.registry.queries import panel
from transhumance_airflow.api import catalogue, models
from transhumance_airflow.api.auth import Caller
from transhumance_airflow.api.runs import Runs, told

BASE = f"{API_ROOT_PATH}transhumance/v1"
"""Where the API is found on its host: Airflow may be below a path of its own."""


class View:
    """One call's look at the registry and at Airflow's runs."""

    def __init__(self, conn: psycopg.Connection, runs: Runs) -> None:
        self.conn, self.runs = conn, runs

    def failed(self, dag_id: str, run_id: str) -> bool | None:
        """Whether the run failed, and nobody cleared it yet; None when Airflow has no such run."""
        found = self.runs.find(dag_id, run_id)
        return None if found is None else found.state == "failed"

    def run(self, dag_id: str, run_id: str) -> models.Run:
        """A run, with its state now."""
        return told(self.runs.find(dag_id, run_id), dag_id, run_id)

    def servers(self, found: Sequence[registry.Server]) -> list[models.ServerSummary]:
        """Where each of these servers stands."""
        live = panel.live_migrations(self.conn, [server.name for server in found])
        return [models.ServerSummary(**self._server(server, live.get(server.name))) for server in found]

    def server(self, found: registry.Server) -> models.Server:
        """Everything about one server."""
        live = registry.migration_of(self.conn, found.name)
        return models.Server(
            **self._server(found, live),
            migration=None if live is None else self._migration(live),
            transit=None if live is None else self.transit(live),
            accounts=self.accounts(registry.accounts_of(self.conn, found.name)),
        )

    def _server(self, found: registry.Server, live: registry.Migration | None) -> dict[str, Any]:
        return {
            "server": found.name,
            "kind": found.kind,
            "plan": found.plan,
            "infrastructure": found.infrastructure,
            "customer": found.customer,
            **_status(status.of_server(self.conn, found, live, self.failed)),
        }

    def _migration(self, live: registry.Migration) -> models.Migration:
        return models.Migration(
            id=live.id,
            entry=live.entry,
            state=live.state,
            began_at=live.began_at,
            requested_by=live.requested_by,
            run=self.run("migrate_server", live.run_id),
            path=[models.Step(**step) for step in status.path(self.conn, live)],
        )

    def transit(self, live: registry.Migration) -> models.Transit | None:
        """The transit that the migration asked for; None before it did."""
        asked = registry.request_of(self.conn, live.id)
        if asked is None:
            return None
        place = registry.place_in_queue(self.conn, live.id)
        lease = panel.free_days_of(self.conn, live.id)
        free_until = None if lease is None else lease.free_until
        return models.Transit(
            server=live.server,
            transit=live.transit,
            asked_for_at=asked.requested_at,
            queue=None if place is None else models.Place(place=place.place, of=place.of, expected=place.estimate),
            handed_over_at=None if lease is None else lease.handed_over_at,
            free_until=free_until,
            seconds_free=None if free_until is None else _left(free_until),
        )

    def accounts(self, found: Sequence[registry.Account]) -> list[models.AccountSummary]:
        """Where each of these accounts stands."""
        migrations = panel.live_migrations(self.conn, [account.home_server for account in found])
        moves = panel.live_moves(self.conn, [account.name for account in found])
        return [
            models.AccountSummary(
                **self._account(account, migrations.get(account.home_server), moves.get(account.name))
            )
            for account in found
        ]

    def account(self, found: registry.Account) -> models.Account:
        """Everything about one account."""
        move = registry.live_move_of(self.conn, found.name)
        migration = registry.migration_of(self.conn, found.home_server)
        test = next(iter(registry.tests_of(self.conn, found.name)), None)
        return models.Account(
            **self._account(found, migration, move),
            move=None if move is None else self._move(move),
            test=None if test is None else self.test(test),
            proof=_proof(registry.moves_of_account(self.conn, found.name)),
        )

    def _account(
        self, found: registry.Account, migration: registry.Migration | None, move: registry.Move | None
    ) -> dict[str, Any]:
        return {
            "account": found.name,
            "server": found.server,
            "home_server": found.home_server,
            "domains": found.domains,
            **_status(status.of_account(self.conn, found, migration, move, self.failed)),
        }

    def _move(self, move: registry.Move) -> models.Move:
        return models.Move(
            id=move.id,
            from_server=move.from_server,
            to_server=move.to_server,
            direction=move.direction,
            state=move.state,
            began_at=move.began_at,
            run=self.run(status.dag_of(move), move.run_id),
        )

    def test(self, test: registry.Test) -> models.Test:
        """A test, its address and what came of it."""
        reported = test.tested_at is not None
        return models.Test(
            id=test.id,
            entry=test.entry,
            state=test.state,
            names=test.names,
            expires_at=test.expires_at,
            began_at=test.began_at,
            tested_at=test.tested_at,
            sentence=_outcome(test),
            blockers=test.blockers,
            warnings=test.warnings,
            failure=test.failure,
            report=f"{BASE}/accounts/{test.account}/tests/{test.id}/report" if reported else None,
            run=self.run("test_account", test.run_id),
        )

    def open_to(self, account: registry.Account) -> models.OpenMigrations:
        """The migrations that are open to an account, with their pages."""
        files = catalogue.entries(self.conn)
        found = panel.open_to_account(self.conn, account.name)
        return models.OpenMigrations(migrations=[self._open(account, entry, files.get(entry.name)) for entry in found])

    def _open(
        self, account: registry.Account, entry: registry.Entry, file: CatalogueEntry | None
    ) -> models.OpenMigration:
        test = next((one for one in registry.tests_of(self.conn, account.name) if one.entry == entry.name), None)
        page = file.page if file else ""
        return models.OpenMigration(
            entry=entry.name,
            title=entry.title,
            kind=entry.kind,
            from_version=entry.from_version,
            to_version=entry.to_version,
            mandatory=entry.mandatory,
            opens=entry.opens,
            deadline=entry.deadline,
            page=page,
            page_html=catalogue.as_html(page),
            incompatibilities=[
                models.Incompatibility(
                    id=one.id, title=one.title, explanation=one.explanation, fix=one.fix, severity=one.severity
                )
                for one in (file.incompatibilities if file else ())
            ],
            test=None if test is None else self.test(test),
            why_not=rules.why_not(self.conn, account, entry.name),
        )


def _left(until: datetime) -> int:
    return max(0, int((until - datetime.now(UTC)).total_seconds()))


def _status(found: status.Status) -> dict[str, Any]:
    return {**vars(found), "progress": found.progress and models.Progress(**vars(found.progress))}


def _proof(moves: Sequence[registry.Move]) -> models.Proof | None:
    """What was proven of the last of these moves that was committed."""
    last = next((move for move in reversed(moves) if move.committed_at is not None), None)
    if last is None:
        return None
    proven = proof.of(last.figures)
    return models.Proof(move=last.id, verified=proven.verified, **asdict(proven))


def _outcome(test: registry.Test) -> str:
    """What came of a test, in a sentence."""
    here = next(state.sentence for state in states.TEST.states if state.name == test.state)
    return (test.report or {}).get("sentence") or test.failure or here


def events(
    conn: psycopg.Connection,
    caller: Caller,
    account: str | None = None,
    server: str | None = None,
    after: int = 0,
    limit: int = 100,
) -> list[models.Event]:
    """What happened behind `after`: to a customer what they are told, to ops everything with its detail."""
    ops = caller.customer is None
    kinds = None if ops else event_text.TOLD
    found = panel.events_for(conn, caller.customer, account, server, kinds, after, limit)
    return [_event(each, ops) for each in found]


def _event(found: registry.Event, ops: bool) -> models.Event:
    more: dict[str, Any] = {"by": found.by, "detail": found.detail} if ops else {}
    return models.Event(
        id=found.id,
        at=found.at,
        kind=found.kind,
        account=found.account,
        server=found.server,
        sentence=event_text.for_ops(found) if ops else event_text.for_customer(found),
        **more,
    )


def page(events: list[models.Event], after: int) -> models.Events:
    """A page of events."""
    return models.Events(events=events, next=events[-1].id if events else after)
