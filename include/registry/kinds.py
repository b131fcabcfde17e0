"""The kinds that rows have, by the columns' own words. The database's constraints allow the same (a test compares)."""

from enum import StrEnum


class ServerKind(StrEnum):
    """What a server is for: `servers.kind`."""

    SHARED = "shared"
    DEDICATED = "dedicated"
    VPS = "vps"
    TRANSIT = "transit"
    TEST = "test"
    DATABASE = "database"


ONE_CUSTOMERS = (ServerKind.DEDICATED, ServerKind.VPS)
"""Servers that have one customer, and move by way of a transit."""


class EntryKind(StrEnum):
    """Of what a catalogue entry changes the version: `catalogue.kind`."""

    INFRASTRUCTURE = "infrastructure"
    POSTGRESQL = "postgresql"
    MARIADB = "mariadb"


class Direction(StrEnum):
    """Where a move leads: to the transit, back from it, or to another server for good: `moves.direction`."""

    OUT = "out"
    HOME = "home"
    OVER = "over"
