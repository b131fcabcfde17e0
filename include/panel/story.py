"""What happened, in a customer's words: a sentence for each kind of event that they are told of.

The log holds more than a customer should see (host keys, addresses, who of the host did what): a kind that is not
listed here is not told, and of a listed one only its sentence.
"""

from __future__ import annotations

from include.moves import proof
from include.registry import Event

TOLD = {
    "migration.began": "The migration of {server} began.",
    "migration.waiting_for_transit": "A transit was asked for; the request waits its turn.",
    "migration.installing_transit": "A transit was assigned and is being installed.",
    "migration.handed_over": "The transit is yours to use: the free week has started.",
    "migration.accounts_moved": "Every account has left the server.",
    "migration.rerouted": "The server's IPs lead to the transit.",
    "migration.original_empty": "The server was proven to be empty.",
    "migration.reinstalling": "The server is being reinstalled.",
    "migration.reinstalled": "The server runs the new version.",
    "migration.accounts_home": "Every account is home again.",
    "migration.home": "IPs and names lead to the server again.",
    "migration.done": "The migration is done.",
    "migration.failed": "The host gave the migration up; nothing was moved.",
    "migration.cancelled": "The migration was cancelled: {reason}",
    "queue.moved_up": "The request moved up in the queue.",
    "test.began": "A test of {account} began.",
    "test.copying": "{account} is being copied to a test server; it serves on.",
    "test.reported": "The report on the test of {account} is ready.",
    "test.ready": "The test copy of {account} can be looked at.",
    "test.removed": "The test copy of {account} was removed.",
    "gate.lifted": "The host lets the migration begin without every test: {reason}",
    "perform.asked": "{account} was asked to be performed.",
    "move.began": "{account} began to move to {to}.",
    "move.put_off": "{account} was not moved at this moment: {why}",
    "move.copying": "{account} is being copied; it serves on.",
    "move.switching": "{account} is about to switch over.",
    "move.committed": "{account} lives on its new server.",
    "move.done": "The move of {account} is done.",
    "move.returned": "{account} did not move and serves from where it was.",
    "run.failed": "A step did not succeed: {why}",
    "account.added": "The account {account} was added.",
    "account.removed": "The account {account} was removed.",
    "account.foreseen": "Before {account} is moved: {why}",
    "lease.left": "The last account has left: the transit costs nothing from here on.",
    "transit.returned": "The transit was returned.",
}
"""Every kind that is told, with its sentence; names in braces are the event's account, server or detail."""


class _Unknown(dict):
    """What an event does not tell is left out of its sentence."""

    def __missing__(self, key: str) -> str:
        return "?"


def sentence(event: Event) -> str:
    """What the event says. Raises KeyError for a kind that is not told."""
    words = {key: value for key, value in event.detail.items() if isinstance(value, str | int)}
    told = TOLD[event.kind].format_map(_Unknown(words | {"account": event.account, "server": event.server}))
    left = proof.of(event.detail).left if event.kind == "move.committed" else []
    without = f" Not carried: {' '.join(left)}" if left else ""
    return f"{told.rstrip('.')}.{without}"
