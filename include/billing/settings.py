"""Ops' settings: what config/billing.toml says, and how it becomes a fact of the registry."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg

from include.billing.calendar import instant_or_now
from include.registry.database import Refused, execute, in_transaction, value

FILE = Path(__file__).parents[2] / "config" / "billing.toml"
BEGINNING = "0001-01-01"


@dataclass(frozen=True)
class Settings:
    """The host's billing time zone (IANA name), the free days of a lease, and the minute after midnight at
    which the daily run starts."""

    time_zone: str
    free_days: int = 7
    run_at_minute: int = 15

    def today(self) -> date:
        """The date now, where the host is."""
        return datetime.now(ZoneInfo(self.time_zone)).date()


def read_settings(file: Path = FILE) -> Settings:
    """What the file says. Raises `Refused` with a sentence when it says something impossible."""
    try:
        settings = Settings(**tomllib.loads(file.read_text()))
        ZoneInfo(settings.time_zone)
    except (TypeError, ValueError, KeyError) as error:
        raise Refused(f"{file.name} cannot be used ({error}): correct it.") from error
    if not isinstance(settings.free_days, int) or not 0 <= settings.free_days <= 365:
        raise Refused(f"{file.name}: free_days is a whole number from 0 to 365: correct it.")
    if not isinstance(settings.run_at_minute, int) or not 0 <= settings.run_at_minute < 24 * 60:
        raise Refused(f"{file.name}: run_at_minute is a whole number from 0 to 1439: correct it.")
    return settings


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
    """Take the file's settings over if the registry never had any: a customer wants to know until when a transit is
    free before the first night."""
    if value(conn, "SELECT NOT EXISTS (SELECT FROM billing_time_zones)"):
        apply_settings(conn, read_settings())
