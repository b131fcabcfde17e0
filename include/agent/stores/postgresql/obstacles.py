"""What of an account's PostgreSQL databases would refuse a move, by the functions that refuse in one; it only reads."""

from __future__ import annotations

from ...account.accounts import Account
from ..store import Noted
from . import definition as postgres_definition
from . import hold

_FORGOTTEN_SECONDS = 60
"""A transaction that is prepared for longer than this was not ended by the program that began it."""


def obstacles(account: Account, noted: Noted) -> list[str]:
    """The roles first, then each database by itself, so that one does not hide what is wrong with another."""
    left: list[str] = []
    if not account.postgresql_roles and not account.postgresql_databases:
        return left
    with noted.noting():
        left += postgres_definition.definition(account.with_databases("postgresql", ()))["left"]
        for name in account.postgresql_databases:
            with noted.noting():
                part = account.with_databases("postgresql", (name,))
                left += postgres_definition.definition(part)["left"]
                hold.refuse_prepared(part, _FORGOTTEN_SECONDS)
    return list(dict.fromkeys(left))
