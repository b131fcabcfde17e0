"""A host's own servers: prepared while visitors come and go, its customers found and adopted, and they move unnoticed.

The servers are Debian's packages set up by a plain script, the customers are put there by another; neither knows of us.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial
from itertools import count

import pytest

from include.agent import verbs
from include.agent.host.codec import decode
from include.agent.verbs.discovered import Discovered, Inhabitants
from include.moves.prepare import files
from lab import base
from lab.accounts.filling import Filled, Server
from lab.classic import customers
from tests.lab.agents import Move, Side, side, visitors
from tests.lab.handles import Lab

OLD, NEW = "2022-classic", "2026-classic"
SITE, APP = "herders.example", "flock.example"
WORDPRESS = 0.5
"""Seconds between two visitors of a WordPress, which makes each page anew."""
_numbers = count(1)


def server_of(one: Side) -> Server:
    """A side as the fill wants it. It knows no agent."""

    def execute(argv: list[str], input: bytes | None = None) -> bytes:
        done = one.lab.machines.execute(one.name, argv, stdin=input, seconds=600)
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, argv, done.stdout, done.stderr)
        return done.stdout

    return Server(execute, lambda _account_file: None)


def prepare(one: Side, *fronts: str) -> list[str]:
    return one.host.run(f"prepare-{next(_numbers)}", verbs.Prepare(files=files(), fronts=list(fronts))).to_do


def unprepare(one: Side) -> None:
    one.host.run(f"unprepare-{next(_numbers)}", verbs.Unprepare())


@pytest.fixture(scope="module", params=["apache2", "nginx"])
def web(request: pytest.FixtureRequest) -> str:
    """The web server of both."""
    return str(request.param)


@pytest.fixture(scope="module")
def sides(lab: Lab, web: str) -> Iterator[tuple[Side, Side]]:
    for infrastructure in (OLD, NEW):
        lab.at_home(base.build, infrastructure)
    with lab.fresh(OLD, NEW) as (old, new):
        for one in (old, new):
            if web == "nginx":
                lab.root(one.name, ["systemctl", "disable", "--now", "apache2"])
                lab.root(one.name, ["systemctl", "enable", "--now", "nginx"])
        yield side(lab, old), side(lab, new)


@pytest.fixture(scope="module")
def filled(sides: tuple[Side, Side], web: str) -> dict[str, Filled]:
    return {each.account: each for each in customers.fill(server_of(sides[0]), web)}


@pytest.fixture(scope="module")
def prepared(sides: tuple[Side, Side], filled: dict[str, Filled]) -> None:
    old, new = sides
    prepare(old, new.address)
    prepare(new, old.address)


@pytest.fixture(scope="module")
def adopted(sides: tuple[Side, Side], prepared: None) -> dict[str, Discovered]:
    old, _ = sides
    found = decode(Inhabitants, old.host.run(f"discover-{next(_numbers)}", verbs.Discover()))
    accounts = {each.name: each for each in found.accounts}
    for account in accounts.values():
        assert account.unfit == [] and account.account_file is not None, account.unfit
        old.host.call(verbs.Adopt(account_file=account.account_file))
    return accounts


def test_it_is_prepared_and_made_as_it_was_and_nobody_notices(
    sides: tuple[Side, Side], filled: dict[str, Filled]
) -> None:
    old, new = sides
    for do in (partial(prepare, old, new.address), partial(unprepare, old)) * 2:
        with visitors(old.address, SITE, 1, WORDPRESS) as asking, visitors(old.address, APP, 1) as asking_app:
            do()
        assert (asking.failed, asking_app.failed) == ([], [])


def test_its_customers_are_found_and_adopted(sides: tuple[Side, Side], adopted: dict[str, Discovered]) -> None:
    assert set(adopted) == {customer.name for customer in customers.CUSTOMERS}
    assert {sides[0].state(name) for name in adopted} == {"serving"}


@pytest.mark.parametrize("name", [customer.name for customer in customers.CUSTOMERS])
def test_an_account_moves_and_nobody_notices(
    sides: tuple[Side, Side], adopted: dict[str, Discovered], filled: dict[str, Filled], name: str
) -> None:
    old, new = sides
    statement = adopted[name].account_file
    assert statement is not None
    domain = next(iter(filled[name].account_file["sites"]))["domain"]
    move = Move(f"m-{name}", 2, statement, old, new).prepare()
    with visitors(old.address, domain, 1, 0.05 if domain == APP else WORDPRESS) as asking:
        report = move.switch()
    assert asking.failed == []
    assert report.verified is not None and report.verified.equal
    assert (old.state(name), new.state(name)) == ("moved", "serving")
