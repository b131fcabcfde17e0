"""A host in the middle of its work: forty servers, eight transits, migrations in every state, a queue. Made up, but by
the registry's own functions wherever they can; only moments of the past are set behind its back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from include import registry
from tests.registry.host import GB, KEY

NOW = datetime.now(UTC)
CUSTOMERS = (
    "Alpine Herders",
    "Brook & Sons",
    "Corner Bakery",
    "Delta Cycles",
    "Elm Street Theatre",
    "Fjord Ferries",
    "Glasshouse Garden",
    "Hilltop School",
)
WAYS = [
    {"store": "postgresql", "database": "shop", "way": "follow", "why": "Every table has a key."},
    {"store": "mariadb", "database": "blog", "way": "dump", "why": "2 MB: a dump in the hold is quicker."},
]


@contextmanager
def behind_its_back(conn: psycopg.Connection) -> Iterator[None]:
    """Without the registry's guards: moments of the past cannot be made by its functions."""
    conn.execute("SET session_replication_role = replica")
    yield
    conn.execute("SET session_replication_role = DEFAULT")


def ago(**time: float) -> datetime:
    """A moment before now."""
    return NOW - timedelta(**time)


def host(conn: psycopg.Connection) -> None:
    """Two plans, the catalogue's entry, forty servers with their accounts and IPs, eight transits."""
    registry.add_plan(conn, "small", Decimal("39.99"), "EUR", 2, 4 * GB, 40 * GB)
    registry.add_plan(conn, "large", Decimal("129.00"), "EUR", 8, 32 * GB, 400 * GB)
    registry.sync_catalogue(
        conn, [registry.Entry("infrastructure-2026", "Debian 13", "infrastructure", "2022", "2026")]
    )
    conn.execute("INSERT INTO billing_time_zones VALUES ('2020-01-01', 'Europe/Paris') ON CONFLICT DO NOTHING")
    for n in range(1, 41):
        kind = "shared" if n > 34 else "dedicated" if n % 5 == 0 else "vps"
        name = f"{ {'shared': 'web', 'dedicated': 'ded', 'vps': 'vps'}[kind] }-{n}"
        customer = None if kind == "shared" else CUSTOMERS[n % len(CUSTOMERS)]
        plan = "large" if kind != "vps" else "small"
        registry.add_server(conn, name, kind, plan, "2022", customer, f"10.20.0.{n}", f"10.30.0.{n}", f"fd30::{n:x}")
        registry.enrol_server(conn, name, "2022", KEY + "old", {"debian": "12"})
        registry.add_ip(conn, f"198.51.100.{n}", name)
        registry.add_ip(conn, f"2001:db8:100::{n:x}", name)
        for word in ("blog", "shop", "mail", "wiki")[: 1 + n % 4]:
            registry.add_account(conn, f"{word}{n}", name, [f"{word}{n}.example"])
            registry.add_name(conn, f"{word}{n}.example", "A", f"{word}{n}", f"198.51.100.{n}")
    for n in range(1, 9):
        plan = "large" if n in (6, 7) else "small"
        registry.add_server(
            conn, f"transit-{n}", "transit", plan, "2022", None, f"10.20.1.{n}", f"10.30.1.{n}", f"fd30::1:{n}"
        )


def begin(conn: psycopg.Connection, server: str) -> int:
    """The customer said ready: a migration, and its request for a transit."""
    migration = registry.begin_migration(
        conn, server, "infrastructure-2026", f"ready-{server}", "the panel", "made up without tests"
    )
    registry.request_transit(conn, migration.id)
    return migration.id


def hand_over(conn: psycopg.Connection, server: str, days: float) -> int:
    """The server's transit was handed over so many days ago."""
    id = begin(conn, server)
    transit = registry.certain(registry.assign_transit(conn, id))
    registry.may_install_transit(conn, id)
    registry.enrol_server(conn, transit, "2026", KEY + "new", {"debian": "13"})
    registry.hand_over(conn, id, ago(days=days))
    return id


def figures(n: int) -> dict[str, Any]:
    """What the agents told of a move."""
    return {
        "copy": {"files": 2822 * n, "bytes": 180_000_000 * n, "seconds": 7.4 * n, "ways": WAYS},
        "switch": {
            "expected_ms": 260.0 + 20 * n,
            "held_ms": 291.3 + 21 * n,
            "ways": WAYS,
            "verified": {"files": 2822 * n, "bytes": 180_000_000 * n, "tables": 14, "rows": 4641 * n, "messages": 436}
            | {"equal": True},
            "left": [],
            "scope": {
                "mail": {"what": "every message", "how": "SHA-256", "when": "in the hold", "without": ["Queues."]}
            },
        },
        "longest_wait_seconds": 1,
    }


def move(conn: psycopg.Connection, account: str, to: str, n: int = 1, until: str = "done", began: float = 3) -> int:
    """A move of the account, up to a state, which began so many hours ago."""
    begun = registry.begin_move(conn, account, to, f"perform-{account}-{to}", "the panel")
    path = ["copying", "switching", "committed", "done"]
    for state in ["copying", "returned"] if until == "returned" else path[: path.index(until) + 1]:
        measured = registry.read_figures(figures(n)) if state == "committed" else None
        registry.advance_move(conn, begun.id, state, measured)
    with behind_its_back(conn):
        conn.execute(
            """
            UPDATE moves SET began_at = %(at)s, state_since = %(at)s + interval '2 minutes',
                committed_at = CASE WHEN committed_at IS NOT NULL THEN %(at)s + interval '2 minutes' END,
                ended_at = CASE WHEN ended_at IS NOT NULL THEN %(at)s + interval '3 minutes' END
            WHERE id = %(id)s
            """,
            {"id": begun.id, "at": ago(hours=began)},
        )
        conn.execute(
            "UPDATE events SET at = %(at)s + (id %% 7) * interval '11 s' WHERE move = %(id)s",
            {"id": begun.id, "at": ago(hours=began)},
        )
    return begun.id


def empty(conn: psycopg.Connection, server: str, days: float) -> int:
    """Every account left for the transit that was handed over so many days ago, and the original proved to be empty."""
    id = hand_over(conn, server, days)
    transit = registry.certain(registry.migration(conn, id).transit)
    for n, name in enumerate(registry.accounts_not_on(conn, id, transit), 1):
        move(conn, name, transit, n, began=30 - 3 * n)
    registry.last_account_left(conn, id)
    for ip in registry.ips_of(conn, server):
        registry.ip_routed(conn, ip.address, transit)
    registry.advance(conn, id, "rerouted")
    registry.advance(conn, id, "original_empty")
    return id


def reinstalled(conn: psycopg.Connection, server: str, days: float) -> int:
    """The same, and the original runs the new version."""
    id = empty(conn, server, days)
    registry.advance(conn, id, "reinstalling")
    registry.may_reinstall(conn, id)
    registry.enrol_server(conn, server, "2026", KEY + "new2", {"debian": "13"})
    registry.advance(conn, id, "reinstalled")
    return id


def tested(conn: psycopg.Connection) -> None:
    """Reports of tests: most find nothing, one a warning, one a blocker; one copy is there to be looked at."""
    registry.add_server(conn, "test-1", "test", "large", "2026", None, "10.20.2.1", "10.30.2.1", "fd30::2:1")
    with behind_its_back(conn):
        conn.execute(
            """
            INSERT INTO tests (account, entry, server, epoch, run_id, requested_by, state, names, expires_at, report,
                blockers, warnings, began_at, tested_at, ended_at)
            SELECT name, 'infrastructure-2026', 'test-1', 0, 'test-' || name, 'the panel',
                CASE name WHEN 'blog11' THEN 'ready' ELSE 'removed' END,
                jsonb_build_object(name || '.example', name || '.test.example'), now() + interval '2 days', '{}',
                CASE name WHEN 'wiki11' THEN 1 ELSE 0 END, CASE WHEN name LIKE 'shop%' THEN 2 ELSE 0 END,
                now() - interval '9 days', now() - interval '9 days' + interval '3 minutes', now() - interval '7 days'
            FROM accounts WHERE substring(name FROM '[0-9]+')::integer IN (1, 2, 3, 4, 6, 11)
            """
        )


def campaign(conn: psycopg.Connection) -> None:
    """A campaign over the shared servers' accounts, in its second wave."""
    conn.execute("UPDATE accounts SET customer = 'customer of ' || name WHERE home_server LIKE 'web-%'")
    shared = [row[0] for row in conn.execute("SELECT name FROM accounts WHERE home_server LIKE 'web-%' ORDER BY name")]
    settings = dict(zip(registry.CAMPAIGN_SETTINGS, (6, 2, 2, 10, 1), strict=True))
    id = registry.begin_campaign(conn, "infrastructure-2026", "campaign-1", "olga", shared, settings).id
    with behind_its_back(conn):
        for account, state in zip(
            shared, ("done", "done", "done", "failed", "performing", "testing", "left"), strict=False
        ):
            conn.execute(
                """
                UPDATE campaign_accounts SET state = %s, reason = 'its test found a blocker'
                WHERE campaign = %s AND account = %s
                """,
                (state, id, account),
            )


def probed(conn: psycopg.Connection, migration: int) -> None:
    """What probes on a visitor's host have seen of the migration."""
    moves = [one for one in registry.moves_of(conn, migration) if one.committed_at]
    waits = [
        {"account": one.account, "direction": one.direction, "longest_wait_ms": 420.5 + 77 * n, "requests": 118}
        for n, one in enumerate(moves)
    ]
    gaps = [
        {"ip": ip, "step": step, "longest_gap_ms": gap + n, "probes": 2000, "lost": 0}
        for n, ip in enumerate(("198.51.100.4", "2001:db8:100::4"))
        for step, gap in (("quiet", 17.3), ("reroute_ips_to_transit", 27.3), ("reroute_ips_home", 19.1))
    ]
    registry.record_probes(conn, migration, [{**wait, "failed": 0} for wait in waits], gaps)


def fill(conn: psycopg.Connection) -> dict[str, int]:
    """All of it; gives the migrations by their server."""
    host(conn)
    made = {"vps-4": reinstalled(conn, "vps-4", 4)}
    made["vps-1"] = hand_over(conn, "vps-1", 9.2)
    made["vps-2"] = hand_over(conn, "vps-2", 5.8)
    made["vps-3"] = hand_over(conn, "vps-3", 1.4)
    made["vps-6"] = begin(conn, "vps-6")
    made["vps-12"] = empty(conn, "vps-12", 3)
    made["ded-10"] = hand_over(conn, "ded-10", 2.3)
    for server in ("vps-4", "vps-3"):
        with behind_its_back(conn):
            conn.execute("UPDATE migrations SET began_at = %s WHERE server = %s", (ago(days=6), server))
    transit = {
        server: registry.certain(registry.migration(conn, id).transit)
        for server, id in made.items()
        if server != "vps-6"  # whose transit is not assigned yet
    }
    move(conn, "shop3", transit["vps-3"], 2, began=26)
    move(conn, "blog3", transit["vps-3"], 1, began=20)
    move(conn, "mail3", transit["vps-3"], until="copying", began=0.02)
    move(conn, "blog2", transit["vps-2"], until="returned", began=5)
    move(conn, "blog10", transit["ded-10"], until="committed", began=0.04)
    probed(conn, made["vps-4"])
    registry.pause_server(conn, "transit-7", "a disk is being replaced", "olga")
    for server in ("vps-7", "vps-8", "vps-9", "ded-15"):
        registry.assign_transit(conn, begin(conn, server))
    tested(conn)
    campaign(conn)
    with behind_its_back(conn):  # as if all this had not been made in one second
        conn.execute(
            "UPDATE servers SET state_since = now() - length(name) * interval '31 days' WHERE kind <> 'transit'"
        )
        conn.execute("UPDATE migrations SET state_since = now() - (id * 37 % 53) * interval '1 h' - interval '9 min'")
        conn.execute(
            """
            UPDATE events SET at = now() - ((SELECT max(id) FROM events) - id) * interval '4 min' - interval '2 min'
            WHERE move IS NULL
            """
        )
    for server in ("vps-7", "vps-8", "vps-9", "ded-15"):
        made[server] = registry.certain(registry.migration_of(conn, server)).id
    return made


def many(conn: psycopg.Connection, servers: int = 1000, accounts: int = 5) -> None:
    """As many servers, half of them being migrated: what the board must be quick with."""
    with behind_its_back(conn):
        conn.execute(
            """
            INSERT INTO servers (name, kind, plan, infrastructure, customer, management_address, lan_address,
                lan_address6, state)
            SELECT 'big-' || n, 'vps', 'small', '2022', 'customer ' || n, '10.60.0.0'::inet + n, '10.70.0.0'::inet + n,
                'fd70::'::inet + n, 'serving'
            FROM generate_series(1, %(servers)s) n
            """,
            {"servers": servers},
        )
        conn.execute(
            """
            INSERT INTO accounts (name, login, server, home_server, epoch)
            SELECT 'big' || n || '-' || a, 'big' || n || '-' || a, 'big-' || n, 'big-' || n, 0
            FROM generate_series(1, %(servers)s) n, generate_series(1, %(accounts)s) a
            """,
            {"servers": servers, "accounts": accounts},
        )
        conn.execute(
            """
            INSERT INTO migrations (server, entry, from_infrastructure, to_infrastructure, run_id, requested_by, state)
            SELECT 'big-' || n, 'infrastructure-2026', '2022', '2026', 'big-run-' || n, 'the panel',
                'waiting_for_transit'
            FROM generate_series(1, %(servers)s, 2) n
            """,
            {"servers": servers},
        )
        conn.execute(
            """
            INSERT INTO transit_requests (migration, plan, rank, state)
            SELECT id, 'small', 1000 + id, 'waiting' FROM migrations WHERE run_id LIKE 'big-run-%%'
            """,
            {},
        )
        conn.execute(
            """
            INSERT INTO moves (account, migration, original, from_server, to_server, direction, epoch, run_id,
                requested_by, state, began_at, committed_at, ended_at, figures)
            SELECT a.name, m.id, m.server, m.server, 'transit-1', 'out', 0, 'big-' || a.name, 'x', 'done',
                now() - interval '1 h', now() - interval '59 min', now() - interval '58 min', %(figures)s
            FROM migrations m JOIN accounts a ON a.home_server = m.server WHERE m.run_id LIKE 'big-run-%%'
            """,
            {"figures": Jsonb(figures(1))},
        )
        conn.execute(
            """
            INSERT INTO events (kind, migration, account, server, move)
            SELECT 'move.done', migration, account, original, id FROM moves, generate_series(1, 8)
            WHERE run_id LIKE 'big-%%'
            """
        )
    conn.execute("ANALYZE")
