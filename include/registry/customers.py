"""Customers that the host says something of: that they are there, and where mail to them goes."""

from dataclasses import dataclass

import psycopg

from include.registry.database import RegistryRefused, column, execute, in_transaction, names, rows
from include.registry.events import event
from include.registry.kinds import EventKind


@dataclass(frozen=True)
class Customer:
    """A customer; `mail` is where their reminders go besides the webhook."""

    name: str
    mail: str | None


@in_transaction
def list_customers(conn: psycopg.Connection) -> list[Customer]:
    """The customers that were entered, and those who have a server, by name."""
    return rows(
        conn,
        Customer,
        """
        SELECT name, mail FROM customers
        UNION SELECT customer, NULL FROM servers
            WHERE customer IS NOT NULL AND state <> 'removed' AND customer NOT IN (SELECT name FROM customers)
        ORDER BY name
        """,
    )


@in_transaction
def set_customer_mail(conn: psycopg.Connection, customer: str, mail: str | None, by: str | None = None) -> None:
    """Where a customer's reminders go as mail; None: nowhere. Can be repeated."""
    changed = execute(
        conn,
        """
        INSERT INTO customers (name, mail) VALUES (%(customer)s, %(mail)s)
        ON CONFLICT (name) DO UPDATE SET mail = excluded.mail WHERE customers.mail IS DISTINCT FROM excluded.mail
        """,
        {"customer": customer, "mail": mail},
    )
    if changed:
        event(conn, EventKind.CUSTOMER_MAIL, by=by, detail={"customer": customer, "given": mail is not None})


@in_transaction
def remove_customer(conn: psycopg.Connection, customer: str, by: str) -> None:
    """Forget a customer. Refused while anything is theirs. Repeating it is fine."""
    params = {"customer": customer}
    theirs = column(
        conn,
        """
        SELECT 'server ' || name FROM servers WHERE customer = %(customer)s AND state <> 'removed'
        UNION ALL SELECT 'account ' || name FROM accounts WHERE customer = %(customer)s AND removed_at IS NULL
        ORDER BY 1
        """,
        params,
    )
    if theirs:
        raise RegistryRefused(f"Customer {customer} has {names(theirs)}: give these to another first.")
    if execute(conn, "DELETE FROM customers WHERE name = %(customer)s", params):
        event(conn, EventKind.CUSTOMER_REMOVED, by=by, detail=params)
