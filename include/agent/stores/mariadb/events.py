"""An account's MariaDB events: which run, and how they are switched without changing what else they are."""

from __future__ import annotations

from typing import Any

from ...account.accounts import Account
from .sql import existing, ident, literal, query


def context(item: dict[str, Any]) -> list[str]:
    """Statements that set what an object remembers of the session that makes it.

    What follows is read in the object's own character set: no name goes over in UTF-8 then (`mariadb_charsets`)."""
    kept = f"collation_connection = {literal(item['collation'])}, character_set_client = {literal(item['charset'])}"
    return [f"SET SESSION {_mode(item)}, {kept} /*M!110500 , character_set_collations = '' */"]


def _mode(item: dict[str, Any]) -> str:
    settings = [f"sql_mode = {literal(item.get('sql_mode') or '')}"]
    if item.get("time_zone"):
        settings.append(f"time_zone = {literal(item['time_zone'])}")
    settings.append(f"timestamp = {int(item.get('moment') or 0) or 'DEFAULT'}")
    return ", ".join(settings)


def _all(account: Account) -> list[dict[str, Any]]:
    columns = ["EVENT_SCHEMA", "EVENT_NAME", "DEFINER", "STATUS", "SQL_MODE", "TIME_ZONE", "CHARACTER_SET_CLIENT"]
    columns += ["COLLATION_CONNECTION", "DATABASE_COLLATION"]
    keys = ["database", "name", "definer", "status", "sql_mode", "time_zone", "charset", "collation", "made_in"]
    events = []
    for database in existing(account.mariadb_databases):
        rows = query(columns, f"FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {literal(database)}")
        events += [dict(zip(keys, row, strict=True)) | {"enabled": row[3] == "ENABLED"} for row in rows]
    return events


def enabled(account: Account) -> list[list[str]]:
    """[database, name] of each event that runs."""
    return [[event["database"], event["name"]] for event in _all(account) if event["enabled"]]


def switch(account: Account, chosen: list[list[str]], word: str) -> list[str]:
    """ALTER EVENT takes definer, sql_mode and time zone from whoever runs it, so each is set to what it was.

    It takes the character sets too, but a name is safe in UTF-8 alone: in another one its last byte and the quote after
    it may be one letter. So those are given back where the server keeps them."""
    statements = []
    for event in _all(account):
        if [event["database"], event["name"]] in chosen:
            user, _, host = str(event["definer"]).rpartition("@")
            name = f"{ident(event['database'])}.{ident(event['name'])}"
            statements += [
                f"SET SESSION {_mode(event)}",
                f"ALTER DEFINER = {ident(user)}@{ident(host)} EVENT {name} {word}",
                "SET SESSION sql_mode = ''",
                f"UPDATE mysql.event SET character_set_client = {literal(event['charset'])},"
                f" collation_connection = {literal(event['collation'])}, db_collation = {literal(event['made_in'])},"
                f" created = created WHERE db = {literal(event['database'])} AND name = {literal(event['name'])}",
            ]
    return statements
