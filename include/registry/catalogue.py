"""The catalogue as the registry knows it: what each entry leads from and to, and when it is due.

Pages, incompatibilities and checks stay in the files of `config/migrations/`, which `include.catalogue` reads.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import psycopg

from include.registry.database import RegistryRefused, execute, in_transaction, row, rows
from include.registry.events import event
from include.registry.kinds import EventKind

COLUMNS = "name, title, kind, from_version, to_version, mandatory, opens, deadline"


@dataclass(frozen=True)
class Entry:
    """A catalogue entry. `kind` is infrastructure or an engine; the versions are that kind's. It is open from the day
    `opens` (None: always); a mandatory one is performed by the host from the day `deadline` on."""

    name: str
    title: str
    kind: str
    from_version: str
    to_version: str
    mandatory: bool = False
    opens: date | None = None
    deadline: date | None = None


@in_transaction
def sync_catalogue(conn: psycopg.Connection, entries: Iterable[Entry]) -> list[Entry]:
    """Make the registry's rows those of `entries`, such as `include.catalogue.load().values()`; gives all rows. One
    that no entry describes any more stays: history refers to it. Refuses other versions for an entry that has been
    used. Can be repeated."""
    known = {entry.name: entry for entry in list_catalogue(conn)}
    for described in sorted(entries, key=lambda entry: entry.name):
        entry = Entry(**{column: getattr(described, column) for column in COLUMNS.split(", ")})
        if known.get(entry.name) == entry:
            continue  # read only: whoever shows the catalogue calls this
        execute(
            conn,
            f"""
            INSERT INTO catalogue ({COLUMNS})
            VALUES (%(name)s, %(title)s, %(kind)s, %(from_version)s, %(to_version)s, %(mandatory)s, %(opens)s,
                %(deadline)s)
            ON CONFLICT (name) DO UPDATE SET title = excluded.title, kind = excluded.kind,
                from_version = excluded.from_version, to_version = excluded.to_version,
                mandatory = excluded.mandatory, opens = excluded.opens, deadline = excluded.deadline
            """,
            vars(entry),
        )
        detail = {name: value.isoformat() if isinstance(value, date) else value for name, value in vars(entry).items()}
        event(conn, EventKind.CATALOGUE_CHANGED, detail=detail)
    return list_catalogue(conn)


@in_transaction
def list_catalogue(conn: psycopg.Connection) -> list[Entry]:
    """Every entry, by name."""
    return rows(conn, Entry, f"SELECT {COLUMNS} FROM catalogue ORDER BY name")


@in_transaction
def catalogue_entry(conn: psycopg.Connection, name: str) -> Entry:
    """An entry of the catalogue; refuses an unknown name."""
    entry = row(conn, Entry, f"SELECT {COLUMNS} FROM catalogue WHERE name = %(name)s", {"name": name})
    if entry is None:
        raise RegistryRefused(f"There is no catalogue entry {name}: choose one of the catalogue.")
    return entry
