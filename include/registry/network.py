"""IPs, and names in the host's DNS."""

from dataclasses import dataclass

import psycopg

from include.registry.database import RegistryRefused, column, execute, in_transaction, row, rows, value
from include.registry.events import event
from include.registry.kinds import EventKind


@dataclass(frozen=True)
class Ip:
    """A service IP: the server it belongs to, and the one server that it is routed to now."""

    address: str
    home_server: str
    routed_to: str


@dataclass(frozen=True)
class Name:
    """An A or AAAA record: the `address` and `ttl` it has when its account is at home and nothing moves, and what
    it points at now, with which TTL. `lowered`: a migration has lowered its TTL, or is about to. `left_because`:
    why it does not follow its account, None when it does."""

    fqdn: str
    type: str
    account: str
    address: str
    points_at: str
    ttl: int
    ttl_now: int
    lowered: bool
    left_because: str | None


ROUNDING = 2
"""Seconds that an answer may be held beyond its TTL: caches, and caches of caches, count in whole seconds."""

_IP = "SELECT host(address) AS address, home_server, routed_to FROM ips"
_NAME = """
    SELECT fqdn, type, account, host(address) AS address, host(points_at) AS points_at, ttl, ttl_now, lowered,
        left_because
    FROM names
"""


@in_transaction
def add_ip(conn: psycopg.Connection, address: str, server: str, by: str | None = None) -> Ip:
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
    record = ip(conn, address)
    if added:
        event(conn, EventKind.IP_ADDED, server=server, by=by, detail={"ip": record.address})
    elif record.home_server != server:
        raise RegistryRefused(f"IP {address} belongs to {record.home_server}: give {server} another.")
    return record


@in_transaction
def remove_ip(conn: psycopg.Connection, address: str, by: str) -> None:
    """Take an IP away from its server. Refused while accounts belong to the server, or the IP takes part in a
    migration. Repeating it is fine."""
    gone = column(
        conn,
        "DELETE FROM ips WHERE address = %(address)s RETURNING home_server",
        {"address": address},
    )
    for server in gone:
        event(conn, EventKind.IP_REMOVED, server=server, by=by, detail={"ip": address})


@in_transaction
def ip(conn: psycopg.Connection, address: str) -> Ip:
    """An IP; refuses an unknown one."""
    record = row(conn, Ip, f"{_IP} WHERE address = %(address)s", {"address": address})
    if record is None:
        raise RegistryRefused(f"There is no IP {address}: add it to its server.")
    return record


@in_transaction
def ips_of(conn: psycopg.Connection, server: str) -> list[Ip]:
    """The IPs that belong to a server, wherever they are routed now."""
    return rows(conn, Ip, f"{_IP} WHERE home_server = %(server)s ORDER BY ips.address", {"server": server})


@in_transaction
def ips_routed_to(conn: psycopg.Connection, server: str) -> list[Ip]:
    """The IPs that lead to a server: those of another server before its own."""
    return rows(
        conn,
        Ip,
        f"{_IP} WHERE routed_to = %(server)s ORDER BY home_server = %(server)s, ips.address",
        {"server": server},
    )


@in_transaction
def list_ips(conn: psycopg.Connection) -> list[Ip]:
    """Every IP, by number."""
    return rows(conn, Ip, f"{_IP} ORDER BY ips.address")


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
    event(conn, EventKind.IP_ROUTED, server=server, detail={"ip": before.address, "from": before.routed_to})
    return ip(conn, address)


@in_transaction
def add_name(conn: psycopg.Connection, fqdn: str, type: str, account: str, address: str, ttl: int = 300) -> Name:
    """Add an account's name in the host's DNS. Repeating it is fine."""
    params = {"fqdn": fqdn, "type": type, "account": account, "address": address, "ttl": ttl}
    added = execute(
        conn,
        """
        INSERT INTO names (fqdn, type, account, address, points_at, ttl, ttl_now)
        VALUES (%(fqdn)s, %(type)s, %(account)s, %(address)s, %(address)s, %(ttl)s, %(ttl)s)
        ON CONFLICT (fqdn, type) DO NOTHING
        """,
        params,
    )
    record = name(conn, fqdn, type)
    if added:
        event(conn, EventKind.NAME_ADDED, account=account, detail={"name": fqdn, "type": type, "address": address})
    elif record.account != account:
        raise RegistryRefused(f"The name {fqdn} belongs to account {record.account}: correct the account's sites.")
    return record


@in_transaction
def name(conn: psycopg.Connection, fqdn: str, type: str) -> Name:
    """A name; refuses an unknown one."""
    record = row(conn, Name, f"{_NAME} WHERE fqdn = %(fqdn)s AND type = %(type)s", {"fqdn": fqdn, "type": type})
    if record is None:
        raise RegistryRefused(f"There is no {type} record of {fqdn} in the registry: add it to its account.")
    return record


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
def names_of_account(conn: psycopg.Connection, account: str) -> list[Name]:
    """The names of one account."""
    return rows(conn, Name, f"{_NAME} WHERE account = %(account)s ORDER BY fqdn, type", {"account": account})


@in_transaction
def names_settled(conn: psycopg.Connection, server: str) -> bool:
    """Whether no cache that keeps to TTLs still holds an earlier answer for a name of the server's accounts."""
    settled: bool = value(
        conn,
        """
        SELECT NOT EXISTS (
            SELECT FROM cached_names c JOIN names n USING (fqdn, type) JOIN accounts a ON a.name = n.account
            WHERE a.home_server = %(server)s AND a.removed_at IS NULL AND c.until > clock_timestamp()
              AND (c.address <> n.points_at OR n.left_because IS NOT NULL)
        )
        """,
        {"server": server},
    )
    return settled


@in_transaction
def lower_name(conn: psycopg.Connection, fqdn: str, type: str, ttl: int) -> Name:
    """Remember the TTL that a name has, before it is lowered: once, until `name_points` says that it is restored."""
    before = name(conn, fqdn, type)
    changed = execute(
        conn,
        """
        UPDATE names SET lowered = true, ttl = %(ttl)s, ttl_now = %(ttl)s
        WHERE fqdn = %(fqdn)s AND type = %(type)s AND NOT lowered
        """,
        {"fqdn": fqdn, "type": type, "ttl": ttl},
    )
    if changed:
        _cached(
            conn, fqdn, type, before.points_at, before.ttl_now
        )  # the name server may have had another one than the registry knew
        event(conn, EventKind.NAME_LOWERED, account=before.account, detail={"name": fqdn, "type": type, "ttl": ttl})
    return name(conn, fqdn, type)


@in_transaction
def name_points(
    conn: psycopg.Connection,
    fqdn: str,
    type: str,
    address: str,
    ttl: int | None = None,
    lowered: bool = False,
    replaced: tuple[str, int] | None = None,
) -> Name:
    """Record what a name points at now, and with which TTL (None: the one in force). Call it after the change:
    from now on, for as long as its TTL was, caches may hold the answer before. `replaced` is that answer as the
    name server had it, (address, TTL), which may differ from what the registry knew. `lowered`: the TTL is to be
    restored later."""
    before = name(conn, fqdn, type)
    after = {"address": address, "ttl": before.ttl_now if ttl is None else ttl, "lowered": lowered}
    names_ = {"fqdn": fqdn, "type": type}
    execute(
        conn,
        """
        UPDATE names SET points_at = %(address)s, ttl_now = %(ttl)s, lowered = %(lowered)s, left_because = NULL
        WHERE fqdn = %(fqdn)s AND type = %(type)s
        """,
        names_ | after,
    )
    record = name(conn, fqdn, type)
    answer = (record.points_at, record.ttl_now)
    for earlier in {(before.points_at, before.ttl_now), replaced or answer} - {answer}:
        _cached(conn, fqdn, type, *earlier)
    if answer != (before.points_at, before.ttl_now):
        detail = {"name": fqdn, "type": type, "from": before.points_at, "to": record.points_at, "ttl": record.ttl_now}
        event(conn, EventKind.NAME_POINTED, account=before.account, detail=detail)
    return record


@in_transaction
def name_left(conn: psycopg.Connection, fqdn: str, type: str, because: str) -> Name:
    """Record that a name is left to whoever changed it, and what its customer is told."""
    before = name(conn, fqdn, type)
    if before.left_because != because:
        params = {"fqdn": fqdn, "type": type, "because": because}
        execute(
            conn,
            "UPDATE names SET left_because = %(because)s WHERE fqdn = %(fqdn)s AND type = %(type)s",
            params,
        )
        event(
            conn, EventKind.NAME_LEFT, account=before.account, detail={"name": fqdn, "type": type, "because": because}
        )
    if before.left_because is None:
        # When it was changed is not known: at the latest now.
        _cached(conn, fqdn, type, before.points_at, before.ttl_now)
    return name(conn, fqdn, type)


def _cached(conn: psycopg.Connection, fqdn: str, type: str, address: str, ttl: int) -> None:
    """For so long from now, caches may hold this earlier answer; what none can hold any more is forgotten."""
    params = {"fqdn": fqdn, "type": type, "address": address, "seconds": ttl + ROUNDING}
    execute(
        conn,
        "DELETE FROM cached_names WHERE fqdn = %(fqdn)s AND type = %(type)s AND until < clock_timestamp()",
        params,
    )
    execute(
        conn,
        """
        INSERT INTO cached_names (fqdn, type, address, until)
        VALUES (%(fqdn)s, %(type)s, %(address)s, clock_timestamp() + make_interval(secs => %(seconds)s))
        ON CONFLICT (fqdn, type, address) DO UPDATE SET until = greatest(cached_names.until, excluded.until)
        """,
        params,
    )


@in_transaction
def names_elsewhere(conn: psycopg.Connection, migration_id: int) -> dict[str, dict[str, str]]:
    """The names that the host's DNS does not lead to this server, as they were found last: {account: {name: what
    its customer is told}}."""
    names = rows(
        conn,
        _Elsewhere,
        """
        SELECT DISTINCT ON (account) account, detail FROM events
        WHERE migration = %(migration)s AND kind = 'names.elsewhere' ORDER BY account, id DESC
        """,
        {"migration": migration_id},
    )
    return {name.account: dict(sorted(name.detail.items())) for name in names if name.detail}


@in_transaction
def list_elsewhere(conn: psycopg.Connection, migration_id: int, account: str, names: dict[str, str]) -> None:
    """Record which names of an account are not led by the host's DNS, and what its customer is told of each."""
    if names_elsewhere(conn, migration_id).get(account, {}) != names:
        event(conn, EventKind.NAMES_ELSEWHERE, migration=migration_id, account=account, detail=names)


@dataclass(frozen=True)
class _Elsewhere:
    account: str
    detail: dict[str, str]
