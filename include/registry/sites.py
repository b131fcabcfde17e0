"""Where the host is: its sites, in which servers stand, and the zones of its DNS."""

from dataclasses import dataclass

import psycopg

from include.registry.database import RegistryRefused, column, execute, in_transaction, names, rows
from include.registry.events import event
from include.registry.kinds import EventKind


@dataclass(frozen=True)
class Zone:
    """A zone of the host's DNS, the name server that takes its updates, and the connection that has the key for
    them."""

    name: str
    primary_server: str
    key_connection: str


@in_transaction
def list_sites(conn: psycopg.Connection) -> list[str]:
    """The sites' names."""
    return column(conn, "SELECT name FROM sites ORDER BY name")


@in_transaction
def add_site(conn: psycopg.Connection, name: str, by: str | None = None) -> None:
    """Add a site: a place whose servers are near each other. Repeating it is fine."""
    if execute(conn, "INSERT INTO sites VALUES (%(site)s) ON CONFLICT DO NOTHING", {"site": name}):
        event(conn, EventKind.SITE_ADDED, by=by, detail={"site": name})


@in_transaction
def remove_site(conn: psycopg.Connection, name: str, by: str) -> None:
    """Forget a site. Refused while servers stand there. Repeating it is fine."""
    servers = column(conn, "SELECT name FROM servers WHERE site = %(site)s ORDER BY name", {"site": name})
    if servers:
        raise RegistryRefused(f"Servers stand in site {name} ({names(servers)}): give them another site first.")
    if execute(conn, "DELETE FROM sites WHERE name = %(site)s", {"site": name}):
        event(conn, EventKind.SITE_REMOVED, by=by, detail={"site": name})


@in_transaction
def list_zones(conn: psycopg.Connection) -> list[Zone]:
    """The zones, by name."""
    return rows(conn, Zone, "SELECT name, primary_server, key_connection FROM zones ORDER BY name")


@in_transaction
def set_zone(conn: psycopg.Connection, name: str, primary_server: str, key_connection: str, by: str) -> None:
    """Say who takes a zone's updates, and which connection has the key. Repeating it is fine."""
    detail = {"zone": name, "primary_server": primary_server, "key_connection": key_connection}
    changed = execute(
        conn,
        """
        INSERT INTO zones VALUES (%(zone)s, %(primary_server)s, %(key_connection)s)
        ON CONFLICT (name) DO UPDATE
            SET primary_server = excluded.primary_server, key_connection = excluded.key_connection
            WHERE (zones.primary_server, zones.key_connection)
                <> (excluded.primary_server, excluded.key_connection)
        """,
        detail,
    )
    if changed:
        event(conn, EventKind.ZONE_SET, by=by, detail=detail)


@in_transaction
def remove_zone(conn: psycopg.Connection, name: str, by: str) -> None:
    """Forget a zone: its names are kept elsewhere from now on. Repeating it is fine."""
    if execute(conn, "DELETE FROM zones WHERE name = %(zone)s", {"zone": name}):
        event(conn, EventKind.ZONE_REMOVED, by=by, detail={"zone": name})
