"""An account's MariaDB events: which run, and how they are switched without changing what else they are."""

from __future__ import annotations

from typing import Any

from .accounts import Account
from .mariadb_sql import existing, ident, literal, query, user_name


def context(item: dict[str, Any]) -> list[str]:
    """Statements that set what an object remembers of the session that makes it."""
    settings = [f"sql_mode = {literal(item.get('sql_mode') or '')}"]
    if item.get("time_zone"):
        settings.append(f"time_zone = {literal(item['time_zone'])}")
    settings.append(f"timestamp = {int(item.get('moment') or 0) or 'DEFAULT'}")
    settings.append(f"collation_connection = {literal(item['collation'])}")
    settings.append(f"character_set_client = {literal(item['charset'])}")
    return [f"SET SESSION {', '.join(settings)} /*M!110500 , character_set_collations = '' */"]


def _all(account: Account) -> list[dict[str, Any]]:
    columns = ["EVENT_SCHEMA", "EVENT_NAME", "DEFINER", "STATUS", "SQL_MODE", "TIME_ZONE", "CHARACTER_SET_CLIENT"]
    columns += ["COLLATION_CONNECTION"]
    keys = ["database", "name", "definer", "status", "sql_mode", "time_zone", "charset", "collation"]
    events = []
    for database in existing(account.mariadb_databases):
        rows = query(columns, f"FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {literal(database)}")
        events += [dict(zip(keys, row, strict=True)) | {"enabled": row[3] == "ENABLED"} for row in rows]
    return events


def enabled(account: Account) -> list[list[str]]:
    """[database, name] of each event that runs."""
    return [[event["database"], event["name"]] for event in _all(account) if event["enabled"]]


def switch(account: Account, wanted: list[list[str]], word: str) -> list[str]:
    """ALTER EVENT takes definer, sql_mode and time zone from whoever runs it, so each is set to what it was."""
    statements = []
    for event in _all(account):
        if [event["database"], event["name"]] in wanted:
            user, _, host = str(event["definer"]).rpartition("@")
            statements += context(event)
            name = f"{ident(event['database'])}.{ident(event['name'])}"
            statements.append(f"ALTER DEFINER = {user_name(user, host)} EVENT {name} {word}")
    return statements
