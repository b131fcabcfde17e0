"""Writing what the source words into the followed databases: on the target, as a user with these databases alone.

No trigger may run for it: what triggers did on the source comes over as rows. So the triggers of the tables that are
written to are taken away for that moment, and are on record meanwhile, so that a crash loses none.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...account.accounts import Account
from ...host.system import read_json, write_durably
from ...verbs import mariadb as verbs
from ...verbs.verb import Asking, Nothing
from . import restore
from .follower import MAKING, WRITING, session
from .sql import ident, literal, queries, query


def _aside(account: Account) -> Path:
    return account.directory / "mariadb.triggers.json"


def _run(account: Account, want: verbs.Run, _asking: Asking) -> verbs.Rows:
    """Run statements that the source has worded; the rows of each. `tables` are those that they write to."""
    _bring_back(account)
    with _without_triggers(account, [(row[0], row[1]) for row in want.tables or []]):
        return verbs.Rows(rows=session(account, WRITING).run(want.statements, "following"))


@contextmanager
def _without_triggers(account: Account, tables: list[tuple[str, str]]) -> Iterator[None]:
    triggers = _triggers(tables) if tables else []
    if not triggers:
        yield
        return
    write_durably(_aside(account), json.dumps(triggers))
    try:
        queries(
            [f"DROP TRIGGER IF EXISTS {ident(trigger['database'])}.{ident(trigger['name'])}" for trigger in triggers]
        )
        yield
    finally:
        _bring_back(account)


def _triggers(tables: list[tuple[str, str]]) -> list[dict[str, Any]]:
    columns = ["TRIGGER_SCHEMA", "TRIGGER_NAME", "SQL_MODE", "CHARACTER_SET_CLIENT", "COLLATION_CONNECTION"]
    columns += ["DATABASE_COLLATION"]
    keys = ["database", "name", "sql_mode", "charset", "collation", "made_in"]
    among = ", ".join(f"({literal(database)}, {literal(table)})" for database, table in tables)
    databases = ", ".join(sorted({literal(database) for database, _ in tables}))
    rows = query(
        columns,
        f"FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA IN ({databases})"
        f" AND (EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE) IN ({among})"
        " ORDER BY EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER",
    )
    triggers = [dict(zip(keys, row, strict=True)) for row in rows]
    if not triggers:
        return []
    shown = [
        f"SHOW CREATE TRIGGER {ident(str(trigger['database']))}.{ident(str(trigger['name']))}" for trigger in triggers
    ]
    made = queries(["SET character_set_results = NULL", *shown])[1:]
    texts = [str(rows[0][2]).encode("utf-8", "surrogateescape") for rows in made]
    return [
        trigger | {"kind": "TRIGGER", "statement": base64.b64encode(text).decode()}
        for trigger, text in zip(triggers, texts, strict=True)
    ]


def _bring_back(account: Account) -> None:
    triggers = read_json(_aside(account))
    if triggers is None:
        return
    # In their order from the first on: one that is there already would come before its elders.
    queries([f"DROP TRIGGER IF EXISTS {ident(trigger['database'])}.{ident(trigger['name'])}" for trigger in triggers])
    restore.put_back(account, triggers)
    _aside(account).unlink()


def _warm(account: Account, _want: verbs.Warm, _asking: Asking) -> Nothing:
    """Open the sessions that the hold will want; slowly enough that each of several calls gets a program of its own."""
    session(account, MAKING)
    session(account, WRITING).run(["DO SLEEP(0.05)"])
    return Nothing()


_FILES = (".MYD", ".MYI", ".MAD", ".MAI", ".MRG", ".frm", ".par")


def _sync(account: Account, want: verbs.Sync, _asking: Asking) -> Nothing:
    """Bring tables of engines that keep no log of their own to the disk: a power cut after the commit takes none."""
    named: dict[str, list[str]] = {}
    for database, table in want.tables:
        if database in account.mariadb_databases:
            named.setdefault(database, []).append(f"{ident(database)}.{ident(table)}")
    for database, tables in named.items():
        queries([f"FLUSH LOCAL TABLES {', '.join(tables)}"])
        (folder,) = query(["@@GLOBAL.datadir", f"HEX(CONVERT({literal(database)} USING filename))"], "")
        for path in (Path(str(folder[0])) / bytes.fromhex(str(folder[1])).decode()).iterdir():
            if path.suffix in _FILES:
                _to_disk(path)
    return Nothing()


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


PEER_VERBS = (verbs.Run.served_by(_run), verbs.Warm.served_by(_warm), verbs.Sync.served_by(_sync))
