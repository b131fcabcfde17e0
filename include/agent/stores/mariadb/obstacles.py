"""What of an account's MariaDB databases would refuse a move, by the functions that refuse in one; it only reads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ...account.accounts import Account
from ..store import Noted
from . import definers, definition, writers
from . import digest as mariadb_digest


def obstacles(account: Account, noted: Noted) -> list[str]:
    """Users and databases as a whole, then each database and each object in it."""
    if not account.mariadb_users and not account.mariadb_databases:
        return []
    left: list[str] = []
    with noted.noting():
        left += definition.definition(account)["left"]
        looks: list[Callable[[], Any]] = [partial(writers.refuse_references, account)]
        for name in account.mariadb_databases:
            looks.append(partial(definition.refuse_history, account, name))
            looks.append(partial(mariadb_digest.tables_of, name))
        broken, heirs = definition.broken_views(account), definers.heirs(account)
        for item in definition.listed_objects(account):
            if (item["database"], item["name"]) not in broken:
                looks.append(partial(definition.refuse_unmovable, account, item, heirs))
        for look in looks:
            with noted.noting():
                look()
        for writer in writers.foreign(account):
            noted.add("foreign_writer", writers.sentence(account, writer))
    return left
