"""A small host in the registry, and the steps of a migration as the DAGs take them."""

from decimal import Decimal

import psycopg

from include import registry
from include.agent.verbs.reports import Copied

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"
GB = 1024**3
DISK = {"disk": {"total_bytes": 100 * GB, "free_bytes": 50 * GB}, "accounts": []}
FIGURES = registry.Figures(copy=Copied(files=3))
UNTESTED = "what is looked at here is not the gate"


def add_host(conn: psycopg.Connection, originals: int = 1, transits: int = 1, accounts: int = 2) -> None:
    """Originals vps-1.. with accounts a1-1.., transits transit-1.., all of plan small, and an entry 2026."""
    registry.add_plan(conn, "small", Decimal("39.99"), "EUR", 2, 4 * GB, 40 * GB)
    registry.sync_catalogue(conn, [registry.Entry("2026", "A new Debian", "infrastructure", "2022", "2026")])
    for n in range(1, originals + 1):
        add_server(conn, f"vps-{n}", "vps", n + 10, customer=f"customer-{n}")
        registry.enrol_server(conn, f"vps-{n}", "2022", KEY + "old", {"debian": "12"})
        registry.add_ip(conn, f"198.51.100.{n + 10}", f"vps-{n}")
        registry.add_ip(conn, f"2001:db8:100::{n + 10}", f"vps-{n}")
        for a in range(1, accounts + 1):
            registry.add_account(conn, f"a{n}-{a}", f"vps-{n}", [f"a{n}-{a}.example"])
            registry.add_name(conn, f"a{n}-{a}.example", "A", f"a{n}-{a}", f"198.51.100.{n + 10}")
    for n in range(1, transits + 1):
        add_server(conn, f"transit-{n}", "transit", n + 100)


def add_server(
    conn: psycopg.Connection, name: str, kind: str, n: int, plan: str = "small", customer: str | None = None
) -> None:
    """A server of infrastructure 2022 whose addresses end in n."""
    registry.add_server(conn, name, kind, plan, "2022", customer, f"10.20.0.{n}", f"10.30.0.{n}", f"fd30::{n}")


def begin(conn: psycopg.Connection, n: int = 1) -> int:
    """Begin the migration of vps-n, whose accounts nobody has tested; its id."""
    return registry.begin_migration(conn, f"vps-{n}", "2026", f"run-{n}", "ops", UNTESTED).id


def handed_over(conn: psycopg.Connection, n: int = 1) -> int:
    """Bring vps-n to handed_over; the migration's id."""
    id = begin(conn, n)
    registry.request_transit(conn, id)
    transit = registry.certain(registry.assign_transit(conn, id))
    registry.may_install_transit(conn, id)
    registry.enrol_server(conn, transit, "2026", KEY + "new", {"debian": "13"})
    registry.hand_over(conn, id)
    return id


def moved(conn: psycopg.Connection, account: str, to: str) -> registry.Move:
    """Move an account from beginning to end."""
    move = registry.begin_move(conn, account, to, f"move-{account}-{to}", "customer")
    for state in ("copying", "switching", "committed", "done"):
        move = registry.advance_move(conn, move.id, state, FIGURES if state == "committed" else None)
    return move


def reinstalled(conn: psycopg.Connection, n: int = 1) -> int:
    """Bring vps-n to reinstalled, every account on its transit; the migration's id."""
    id = handed_over(conn, n)
    transit = registry.certain(registry.migration(conn, id).transit)
    for account in registry.accounts_not_on(conn, id, transit):
        moved(conn, account, transit)
    registry.last_account_left(conn, id)
    for name in registry.names_of(conn, f"vps-{n}"):
        registry.name_points(conn, name.fqdn, name.type, "198.51.100.101")
    for ip in registry.ips_of(conn, f"vps-{n}"):
        registry.ip_routed(conn, ip.address, transit)
    registry.advance(conn, id, "rerouted")
    registry.advance(conn, id, "original_empty")
    registry.advance(conn, id, "reinstalling")
    registry.may_reinstall(conn, id)
    registry.enrol_server(conn, f"vps-{n}", "2026", KEY + "new2", {"debian": "13"})
    registry.advance(conn, id, "reinstalled")
    return id


def done(conn: psycopg.Connection, n: int = 1) -> int:
    """Bring vps-n through its whole migration; the migration's id."""
    id = reinstalled(conn, n)
    server = f"vps-{n}"
    for account in registry.accounts_not_on(conn, id, server):
        moved(conn, account, server)
    registry.advance(conn, id, "accounts_home")
    for ip in registry.ips_of(conn, server):
        registry.ip_routed(conn, ip.address, server)
    for name in registry.names_of(conn, server):
        registry.name_points(conn, name.fqdn, name.type, name.address)
    registry.advance(conn, id, "home")
    registry.may_wipe(conn, id)
    registry.transit_wiped(conn, id)
    registry.return_transit(conn, id)
    registry.advance(conn, id, "done")
    return id
