"""How ops' settings become facts of the registry."""

from __future__ import annotations

from datetime import datetime

import psycopg

from include.billing.calendar import instant_or_now
from include.registry.database import execute, in_transaction, value
from include.settings import Settings, read_settings

BEGINNING = "0001-01-01"


@in_transaction
def apply_settings(conn: psycopg.Connection, settings: Settings, now: datetime | None = None) -> list[str]:
    """Make the registry's settings those of `settings`; gives a sentence for each that changed.

    The first zone holds for every day there ever was. Another one holds from tomorrow's date, so a day that has
    begun is not judged anew. New free days are for leases handed over from now on. Can be repeated.
    """
    changed = []
    execute(conn, "LOCK TABLE billing_time_zones IN SHARE ROW EXCLUSIVE MODE")
    zone = value(conn, "SELECT zone FROM billing_time_zones ORDER BY valid_from DESC LIMIT 1")
    if zone != settings.time_zone:
        valid_from = value(
            conn,
            "INSERT INTO billing_time_zones SELECT CASE WHEN %(zone)s::text IS NULL THEN %(beginning)s::date"
            " ELSE billing_date_of(%(now)s) + 1 END, %(new)s RETURNING valid_from",
            {
                "zone": zone,
                "new": settings.time_zone,
                "beginning": BEGINNING,
                "now": instant_or_now(conn, now),
            },
        )
        changed.append(
            f"Days are counted in {settings.time_zone}{f' from {valid_from} on' if zone else ''}"
            f" (before: {zone or 'not set'})."
        )
    before = value(
        conn,
        "UPDATE billing_settings s SET free_days = %(days)s FROM billing_settings old"
        " WHERE s.free_days <> %(days)s RETURNING old.free_days",
        {"days": settings.free_days},
    )
    if before is not None:
        changed.append(f"Leases handed over from now on have {settings.free_days} free days (before: {before}).")
    return changed


@in_transaction
def ensure_settings(conn: psycopg.Connection) -> None:
    """Take the file's settings over if the registry never had any: a customer wants to know when a transit is expected,
    and until when it is free, before the first night."""
    if value(conn, "SELECT NOT EXISTS (SELECT FROM billing_time_zones)"):
        apply_settings(conn, read_settings())
