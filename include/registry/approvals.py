"""Approvals: whether a person is asked before an original is reinstalled, and what they are shown and have said."""

from dataclasses import dataclass

import psycopg

from include.registry.database import RegistryRefused, execute, in_transaction, row, value
from include.registry.events import event
from include.registry.kinds import EventKind
from include.registry.plans import Plan
from include.registry.plans import plan as plan_named


@dataclass(frozen=True)
class Proof:
    """What the registry knows of an original that is to be reinstalled. `asks`: whether its plan wants a person's yes;
    `living` and `routed_here` are empty, or it is not reinstalled."""

    server: str
    transit: str
    to_infrastructure: str
    asks: bool
    living: list[str]
    on_transit: list[str]
    routed_here: list[str]
    routed_to_transit: list[str]


@in_transaction
def proof_of_emptiness(conn: psycopg.Connection, migration: int) -> Proof:
    """Who lives on the migration's original and which IPs are routed to it, and where they are instead. Refuses an
    unknown id."""
    proof = row(
        conn,
        Proof,
        """
        SELECT m.server, m.transit, m.to_infrastructure, p.reinstall_needs_approval AS asks,
            ARRAY(SELECT who_is_on(m.server)) AS living,
            ARRAY(SELECT name FROM accounts WHERE home_server = m.server AND server = m.transit
                AND removed_at IS NULL ORDER BY name) AS on_transit,
            ARRAY(SELECT host(address) FROM ips WHERE routed_to = m.server ORDER BY address) AS routed_here,
            ARRAY(SELECT host(address) FROM ips WHERE home_server = m.server AND routed_to = m.transit
                ORDER BY address) AS routed_to_transit
        FROM migrations m JOIN servers s ON s.name = m.server JOIN plans p ON p.name = s.plan
        WHERE m.id = %(id)s
        """,
        {"id": migration},
    )
    if proof is None:
        raise RegistryRefused(f"There is no migration {migration}: check its id.")
    return proof


@in_transaction
def approved_by(conn: psycopg.Connection, migration: int) -> str | None:
    """Who agreed that the migration's original is reinstalled; None before, and when a later answer was no."""
    person: str | None = value(
        conn,
        """
        SELECT CASE kind WHEN 'reinstall.approved' THEN coalesce(by, 'somebody') END FROM events
        WHERE migration = %(id)s AND kind IN ('reinstall.approved', 'reinstall.rejected') ORDER BY id DESC LIMIT 1
        """,
        {"id": migration},
    )
    return person


@in_transaction
def answer_approval(conn: psycopg.Connection, migration: int, approved: bool, by: str) -> None:
    """Record a person's answer."""
    server = value(conn, "SELECT server FROM migrations WHERE id = %(id)s", {"id": migration})
    event(
        conn,
        EventKind.REINSTALL_APPROVED if approved else EventKind.REINSTALL_REJECTED,
        migration=migration,
        server=server,
        by=by,
    )


@in_transaction
def ask_before_reinstall(conn: psycopg.Connection, plan: str, asks: bool, by: str) -> Plan:
    """Whether a person has to agree before a server of this plan is reinstalled."""
    plan_named(conn, plan)
    changed = execute(
        conn,
        """
        UPDATE plans SET reinstall_needs_approval = %(asks)s
        WHERE name = %(plan)s AND reinstall_needs_approval <> %(asks)s
        """,
        {"plan": plan, "asks": asks},
    )
    if changed:
        event(conn, EventKind.PLAN_APPROVAL, by=by, detail={"plan": plan, "asks": asks})
    return plan_named(conn, plan)
