"""IPs, and names in the host's DNS."""

from dataclasses import dataclass

import psycopg

from include.registry.database import Refused, execute, in_transaction, row, rows, value
from include.registry.events import event


@dataclass(frozen=True)
class Ip:
    """A service IP: the server it belongs to, and the one server that it is routed to now."""

    address: str
    home_server: str
    routed_to: str


@dataclass(frozen=True)
class Name:
    """An A or AAAA record: the `address` it has when its account is at home, and the one it points at now."""

    fqdn: str
    type: str
    account: str
    address: str
    points_at: str
    ttl: int


_IP = "SELECT host(address) AS address, home_server, routed_to FROM ips"
_NAME = """
    SELECT fqdn, type, account, host(address) AS address, host(points_at) AS points_at, ttl FROM names
"""


@in_transaction
def add_ip(conn: psycopg.Connection, address: str, server: str) -> Ip:
    """Add a service IP of a server, routed to it. Repeating it is fine."""
    params = {"address": address, "server": server}
    added = execute(
        conn,
        """
        INSERT INTO ips (address, home_server, routed_to) VALUES (%(address)s, %(server)s, %(server)s)
        ON CONFLICT (address) DO NOTHING
        """,
        params,
    )
    found = ip(conn, address)
    if added:
        event(conn, "ip.added", server=server, detail={"ip": found.address})
    elif found.home_server != server:
        raise Refused(f"IP {address} belongs to {found.home_server}: give {server} another.")
    return found


@in_transaction
def ip(conn: psycopg.Connection, address: str) -> Ip:
    """An IP; refuses an unknown one."""
    found = row(conn, Ip, f"{_IP} WHERE address = %(address)s", {"address": address})
    if found is None:
        raise Refused(f"There is no IP {address}: add it to its server.")
    return found


@in_transaction
def ips_of(conn: psycopg.Connection, server: str) -> list[Ip]:
    """The IPs that belong to a server, wherever they are routed now."""
    return rows(conn, Ip, f"{_IP} WHERE home_server = %(server)s ORDER BY ips.address", {"server": server})


@in_transaction
def ip_routed(conn: psycopg.Connection, address: str, server: str) -> Ip:
    """Record that an IP is routed to a server: its home, or the transit of its home's migration."""
    before = ip(conn, address)
    if before.routed_to == server:
        return before
    execute(
        conn,
        "UPDATE ips SET routed_to = %(server)s WHERE address = %(address)s",
        {"address": address, "server": server},
    )
    event(conn, "ip.routed", server=server, detail={"ip": before.address, "from": before.routed_to})
    return ip(conn, address)


@in_transaction
def add_name(conn: psycopg.Connection, fqdn: str, type: str, account: str, address: str, ttl: int = 300) -> Name:
    """Add an account's name in the host's DNS. Repeating it is fine."""
    params = {"fqdn": fqdn, "type": type, "account": account, "address": address, "ttl": ttl}
    added = execute(
        conn,
        """
        INSERT INTO names (fqdn, type, account, address, points_at, ttl)
        VALUES (%(fqdn)s, %(type)s, %(account)s, %(address)s, %(address)s, %(ttl)s)
        ON CONFLICT (fqdn, type) DO NOTHING
        """,
        params,
    )
    found = name(conn, fqdn, type)
    if added:
        event(conn, "name.added", account=account, detail={"name": fqdn, "type": type, "address": address})
    elif found.account != account:
        raise Refused(f"The name {fqdn} belongs to account {found.account}: correct the account's sites.")
    return found


@in_transaction
def name(conn: psycopg.Connection, fqdn: str, type: str) -> Name:
    """A name; refuses an unknown one."""
    found = row(conn, Name, f"{_NAME} WHERE fqdn = %(fqdn)s AND type = %(type)s", {"fqdn": fqdn, "type": type})
    if found is None:
        raise Refused(f"There is no {type} record of {fqdn} in the registry: add it to its account.")
    return found


@in_transaction
def names_of(conn: psycopg.Connection, server: str) -> list[Name]:
    """The names of the accounts that belong to a server, wherever these live now."""
    return rows(
        conn,
        Name,
        f"""
        {_NAME} WHERE account IN (
            SELECT name FROM accounts WHERE home_server = %(server)s AND removed_at IS NULL
        ) ORDER BY fqdn, type
        """,
        {"server": server},
    )


@in_transaction
def names_settled(conn: psycopg.Connection, server: str) -> bool:
    """Whether no cache that keeps to TTLs still holds an earlier answer for a name of the server's accounts."""
    return value(
        conn,
        """
        SELECT NOT EXISTS (
            SELECT FROM names
            WHERE account IN (SELECT name FROM accounts WHERE home_server = %(server)s AND removed_at IS NULL)
              AND pointed_at + make_interval(secs => ttl) > clock_timestamp()
        )
        """,
        {"server": server},
    )


@in_transaction
def name_points(conn: psycopg.Connection, fqdn: str, type: str, address: str) -> Name:
    """Record what a name points at now."""
    before = name(conn, fqdn, type)
    changed = execute(
        conn,
        """
        UPDATE names SET points_at = %(address)s, pointed_at = clock_timestamp()
        WHERE fqdn = %(fqdn)s AND type = %(type)s AND points_at <> %(address)s
        """,
        {"fqdn": fqdn, "type": type, "address": address},
    )
    if changed:
        detail = {"name": fqdn, "type": type, "from": before.points_at, "to": address}
        event(conn, "name.pointed", account=before.account, detail=detail)
    return name(conn, fqdn, type)
