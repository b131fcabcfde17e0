"""The ledger for the accounting system: entries after a cursor, as CSV or JSON Lines, and the mark that they
were handed over. A reader that remembers the last id misses nothing: ids are in the order of commits."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import TextIO

import psycopg
from psycopg.rows import class_row

from include.registry.database import RegistryRefused, in_transaction, rows, value

LEDGER = """
SELECT e.id, e.lease, l.server, s.customer, l.transit, l.plan, e.day, e.number, e.kind, e.amount, e.currency,
    e.monthly_price, e.reason, e.corrects, e.entered_at
FROM ledger_entries e JOIN leases l ON l.id = e.lease JOIN servers s ON s.name = l.server
"""
ENTRIES = f"{LEDGER} WHERE e.id > %(after)s AND e.id <= %(through)s ORDER BY e.id LIMIT %(limit)s"
ENTRIES_OF_LEASE = f"{LEDGER} WHERE e.lease = %(lease)s ORDER BY e.day, e.number"


@dataclass(frozen=True)
class Entry:
    """The charge of one day of a lease, or a correction of one.

    (lease, day, number) is what it is known by for ever; number 0 is the charge of the day. `amount` is
    in `currency`, with its minor unit's decimals; a correction's may be negative."""

    id: int
    lease: int
    server: str
    customer: str | None
    transit: str
    plan: str
    day: date
    number: int
    kind: str
    amount: Decimal
    currency: str
    monthly_price: Decimal | None
    reason: str | None
    corrects: int | None
    entered_at: datetime


COLUMNS = tuple(field.name for field in fields(Entry))


def entries(
    conn: psycopg.Connection, after: int = 0, through: int | None = None, limit: int | None = None
) -> Iterator[Entry]:
    """Entries with an id above `after`, oldest first, as they are read: a million at a time is fine. The
    connection must be in a transaction or not in autocommit."""
    with conn.cursor(name="ledger_entries", row_factory=class_row(Entry)) as cursor:
        cursor.itersize = 5000
        cursor.execute(ENTRIES, {"after": after, "through": through or 2**62, "limit": limit})
        yield from cursor


def entries_of(conn: psycopg.Connection, lease: int) -> list[Entry]:
    """Every entry of one lease, by day: its bill."""
    return rows(conn, Entry, ENTRIES_OF_LEASE, {"lease": lease})


def write_csv(page: Iterable[Entry], stream: TextIO) -> int:
    """Write a head and a line an entry; gives the id of the last one, 0 without any. Amounts have a decimal
    point, days are ISO 8601, what is not there is empty."""
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    last = 0
    for entry in page:
        writer.writerow(["" if v is None else v for v in (getattr(entry, name) for name in COLUMNS)])
        last = entry.id
    return last


def write_json_lines(page: Iterable[Entry], stream: TextIO) -> int:
    """Write an object a line; gives the id of the last entry, 0 without any. Amounts are strings, so that no
    reader makes them binary fractions."""
    last = 0
    for entry in page:
        stream.write(json.dumps(asdict(entry), default=str, ensure_ascii=False) + "\n")
        last = entry.id
    return last


WRITERS = {"csv": write_csv, "jsonl": write_json_lines}


def exported_through(conn: psycopg.Connection, system: str) -> int:
    """The id of the last entry that `system` got; 0 before its first."""
    return value(
        conn,
        "SELECT coalesce(max(through_entry), 0) FROM ledger_exports WHERE system = %(system)s",
        {"system": system},
    )


@in_transaction
def mark_exported(conn: psycopg.Connection, system: str, through: int) -> int:
    """Note that `system` has every entry through the id `through`; gives how many are newly marked. Can be
    repeated. Refuses an id that is no entry."""
    value(conn, "SELECT pg_advisory_xact_lock(7203003)")
    after = exported_through(conn, system)
    if through <= after:
        return 0
    if value(conn, "SELECT id FROM ledger_entries WHERE id = %(id)s", {"id": through}) is None:
        raise RegistryRefused(f"The ledger has no entry {through}: give the id of the last entry that {system} got.")
    return value(
        conn,
        "INSERT INTO ledger_exports (system, after_entry, through_entry, entries)"
        " SELECT %(system)s, %(after)s, %(through)s, count(*) FROM ledger_entries"
        " WHERE id > %(after)s AND id <= %(through)s RETURNING entries",
        {"system": system, "after": after, "through": through},
    )


@in_transaction
def export_ledger(conn: psycopg.Connection, system: str, form: str, stream: TextIO) -> int:
    """Write what `system` does not have yet to `stream` as "csv" or "jsonl", and mark it, in one transaction;
    gives how many entries. Should `stream` fail, nothing is marked."""
    if form not in WRITERS:
        raise RegistryRefused(f"An export is csv or jsonl, not {form!r}: give one of these.")
    last = WRITERS[form](entries(conn, exported_through(conn, system)), stream)
    return mark_exported(conn, system, last)
