"""Runs of Airflow, as far as others ask why one of them failed: the panel, a campaign, the board."""

import psycopg
from psycopg.types.json import Jsonb

from include.registry.database import in_transaction, value
from include.registry.events import event
from include.registry.kinds import EventKind


@in_transaction
def perform_asked(conn: psycopg.Connection, account: str, dag: str, run_id: str, by: str) -> None:
    """Note that a run was asked for that performs the account."""
    event(conn, EventKind.PERFORM_ASKED, account=account, by=by, detail={"dag": dag, "run_id": run_id})


@in_transaction
def run_failed(
    conn: psycopg.Connection,
    dag: str,
    run_id: str,
    task: str,
    why: str,
    account: str | None,
    by: str | None,
    server: str | None = None,
    attempt: int | None = None,
) -> None:
    """Note that a task of a run failed for good at this attempt, and its sentence. What the form names, an account or a
    server, and is not known is left out."""
    known = value(conn, "SELECT name FROM accounts WHERE name = %(name)s", {"name": account})
    at = value(conn, "SELECT name FROM servers WHERE name = %(name)s", {"name": server})
    detail = {"dag": dag, "run_id": run_id, "task": task, "why": why, "attempt": attempt}
    event(conn, EventKind.RUN_FAILED, account=known, server=at, by=by, detail=detail)


@in_transaction
def run_failure_told(conn: psycopg.Connection, dag: str, run_id: str, task: str, attempt: int) -> bool:
    """Whether this task of the run has told why this attempt of it failed."""
    failure = {"dag": dag, "run_id": run_id, "task": task, "attempt": attempt}
    was_told: bool = value(
        conn,
        "SELECT EXISTS (SELECT FROM events WHERE kind = %(kind)s AND detail @> %(failure)s)",
        {"kind": EventKind.RUN_FAILED, "failure": Jsonb(failure)},
    )
    return was_told


@in_transaction
def why_run_failed(conn: psycopg.Connection, run_id: str, account: str | None = None) -> str | None:
    """The sentence with which a run (for this account, or for any) failed last; the end of its path is asked last,
    since it fails only after something else. None when no task of it failed."""
    sentence: str | None = value(
        conn,
        """
        SELECT detail ->> 'why' FROM events
        WHERE kind = %(kind)s AND detail ->> 'run_id' = %(run)s
          AND (%(account)s::text IS NULL OR account = %(account)s)
        ORDER BY detail ->> 'task' = 'close_path', id DESC LIMIT 1
        """,
        {"account": account, "kind": EventKind.RUN_FAILED, "run": run_id},
    )
    return sentence
