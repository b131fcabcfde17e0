"""Days: dates in the host's billing time zone. The arithmetic is in the database (see docs/billing.md); here are
the questions that are asked of it."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import psycopg

from include.registry.database import RegistryRefused, value


def instant_or_now(conn: psycopg.Connection, now: datetime | None) -> datetime:
    """`now`, or the time by the registry's clock. Raises ValueError for a time without a zone."""
    if now is None:
        return value(conn, "SELECT billing_now()")
    if now.tzinfo is None:
        raise ValueError("A time without a zone means nothing to billing: give an aware datetime.")
    return now


def day_or_none(text: str | None) -> date | None:
    """The day that a form names, when it names one."""
    return date.fromisoformat(text) if text else None


def date_of(conn: psycopg.Connection, instant: datetime) -> date:
    """The date of an instant in the zone that was in force then."""
    day = value(conn, "SELECT billing_date_of(%(instant)s)", {"instant": instant})
    if day is None:
        raise RegistryRefused("The host has no billing time zone yet: set it in config/settings.toml and apply it.")
    return day


def last_ended_day(conn: psycopg.Connection, now: datetime | None = None) -> date:
    """The newest day that is over."""
    return date_of(conn, instant_or_now(conn, now)) - timedelta(days=1)


def billed_through(conn: psycopg.Connection) -> date | None:
    """The newest day that billing has dealt with; None before its first."""
    return value(conn, "SELECT max(day) FROM billing_days")
