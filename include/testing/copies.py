"""A test copy: begun, opened under its test names, and taken away again.

Nothing here can take away anything but a test copy: the registry's row, the kind of the server, and what that server
itself says of the account all have to agree.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg

from include import catalogue, registry
from include.agent import verbs
from include.agent.account.engines import ENGINES
from include.facts import Peer, TestAsked, TestFacts
from include.hosts import Host
from include.moves import channel
from include.moves.channel import entry_of, entry_without_secrets, serving_there
from include.network.names import Names
from include.registry.kinds import INFRASTRUCTURE, ServerKind
from include.registry.states import TestState
from include.testing import names as test_names

STORES = ("files", *ENGINES)
OURS = ("receiving", "test")
"""What a test server says of a copy that a test has put there."""


@dataclass(frozen=True)
class Place:
    """Where tests are: how a server's agent is reached, the zone and domain of the test names, and the certificate for
    all of them (key and chain in PEM), if there is one."""

    reach: Callable[[str], Host]
    zone: Names
    domain: str
    certificate: str | None = field(default=None, repr=False)


def check(
    conn: psycopg.Connection, account: str, entry: str, run_id: str, requested_by: str, reach: Callable[[str], Host]
) -> TestAsked:
    """What is to be tested, by the catalogue's files. Refused, with nothing changed, for whatever the
    registry or one of the servers knows against it; a test that is there already is none, it is replaced."""
    catalogue.take_over(conn)
    tested = registry.account(conn, account)
    lives_on = tested.server
    with conn.transaction(force_rollback=True):
        if (old := registry.replace_test(conn, account, run_id)) is not None:
            registry.advance_test(conn, old.id, TestState.REMOVED)
        server = registry.begin_test(conn, account, entry, run_id, requested_by).server
    with ThreadPoolExecutor() as both:
        reached = both.submit(reach(server).call, verbs.Status(operation="reached"))  # it only has to answer
        here = serving_there(reach(lives_on), tested, "be tested")
    reached.result()
    registry.sync_accounts(conn, lives_on, [entry_without_secrets(here)])
    return TestAsked(account, entry)


def begin(conn: psycopg.Connection, asked: TestAsked, run_id: str, requested_by: str, place: Place) -> TestFacts:
    """Takes away the test that was there before and begins this one, or finds it."""
    if (old := registry.replace_test(conn, asked.account, run_id)) is not None:
        remove(conn, old.id, place)
    return facts(conn, registry.begin_test(conn, asked.account, asked.entry, run_id, requested_by))


def facts(conn: psycopg.Connection, test: registry.Test) -> TestFacts:
    """What the registry knows of the test and its account."""
    kind = registry.catalogue_entry(conn, test.entry).kind
    lives_on = registry.account(conn, test.account).server
    only = None if kind == INFRASTRUCTURE else kind
    return TestFacts(test.id, test.key, test.account, test.login, test.entry, lives_on, test.server, only, test.epoch)


def stores(test: TestFacts) -> list[str]:
    """What the test copies: everything, or one engine's databases."""
    return [test.only] if test.only else [*STORES]


def open_path(conn: psycopg.Connection, test: TestFacts, place: Place) -> Peer:
    """The test server is inert, and ready to receive from the account's server."""
    make_inert(conn, test, place)
    return channel.open_channel(conn, test, place.reach)


def make_inert(conn: psycopg.Connection, test: TestFacts, place: Place) -> None:
    """Before anything of the account gets there, the server is one that holds test copies only. The test names are
    chosen, and noted before any is used."""
    if (kind := registry.server(conn, test.to_server).kind) != ServerKind.TEST:
        raise registry.RegistryRefused(f"{test.to_server} is a {kind} server: a test copy goes to a test server only.")
    place.reach(test.to_server).call(verbs.BecomeTestServer(domain=place.domain, certificate=place.certificate))
    sites = [site["domain"] for site in sites_of(conn, test)]
    chosen = test_names.chosen(sites or [test.account], place.domain)
    registry.advance_test(conn, test.id, TestState.COPYING, names=chosen)


def duplicate(test: TestFacts) -> dict[str, Any]:
    """What the agent's `duplicate` is asked for, but for the peer."""
    return {"move": test.key, "epoch": test.epoch, "stores": stores(test)}


def open_copy(conn: psycopg.Connection, test: TestFacts, place: Place) -> dict[str, str]:
    """The copy answers on its server, under its test names; gives {site's domain: test name}, or the account's own
    where there is no site."""
    names = registry.test(conn, test.id).names
    place.reach(test.to_server).call(
        verbs.OpenTest(
            account=test.login,
            move=test.key,
            epoch=test.epoch,
            names={site["domain"]: names[site["domain"]] for site in sites_of(conn, test) if site["domain"] in names},
            stores=stores(test),
        )
    )
    return names


def sites_of(conn: psycopg.Connection, test: TestFacts) -> list[dict[str, Any]]:
    """The sites that are copied, each {"domain", "aliases"}: none where one engine's databases are."""
    if test.only:
        return []
    description = registry.account(conn, test.account).description or {}
    return list(description.get("sites", ()))


def end(conn: psycopg.Connection, test: TestFacts, place: Place) -> str:
    """Takes the test's key off both servers, and the copy away if it did not get ready; gives the test's state."""
    for server in (test.from_server, test.to_server):
        place.reach(server).call(verbs.Unpair(move=test.key))
    if registry.test(conn, test.id).state in (TestState.READY, TestState.REMOVED):
        return registry.test(conn, test.id).state
    failure = registry.why_run_failed(conn, registry.test(conn, test.id).run_id, test.account)
    remove(conn, test.id, place, failure or "Its run ended before it was ready: see that run.")
    return "removed"


def to_remove(conn: psycopg.Connection, test: int | None) -> list[int]:
    """The tests that are to go: this one, or all whose time is up."""
    if test is not None:
        return [registry.test(conn, test).id]
    return [expired.id for expired in registry.expired_tests(conn, datetime.now(UTC))]


def remove(conn: psycopg.Connection, id: int, place: Place, failure: str | None = None) -> None:
    """Takes a test copy away, wherever its removal stood: its names, then all that its server holds of it; `failure`
    says what had failed, if anything. Nothing happens when it is gone."""
    test = registry.test(conn, id)
    if test.state == TestState.REMOVED:
        return
    if (kind := registry.server(conn, test.server).kind) != ServerKind.TEST:
        raise registry.RegistryRefused(
            f"{test.server} is a {kind} server, and {test.account} is not removed from it: look."
        )
    registry.advance_test(conn, id, TestState.REMOVING, failure=failure)
    test_names.take_away(conn, place.zone, test.names.values(), test.server)
    host = place.reach(test.server)
    copy = entry_of(host, test.login)
    if copy is not None and copy["move"] == test.key:
        if copy["state"] not in OURS:
            raise registry.RegistryRefused(
                f"{test.server} calls {test.account} {copy['state']}, which no test copy is: find out why."
            )
        host.call(verbs.Remove(account=test.login, move=test.key))
    registry.advance_test(conn, id, TestState.REMOVED)
