"""Real applications go out and home while visitors write into them: no request fails, nothing that was kept is lost.

Then the visitors rest and each goes once more, so that the dumps of both servers can be compared.
"""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from include.agent import verbs
from include.agent.verbs.reports import Switched
from lab import topology
from lab.accounts.applications import APPLICATIONS, BALANCES, Application
from lab.accounts.filling import Server
from lab.demo.inside import inside
from lab.demo.stage import executor
from tests.lab.agents import Move, Side, measured, side
from tests.lab.handles import Lab
from tests.lab.independent import differences

NAMES = [app.name for app in APPLICATIONS]
APART = {"shop": r"file (\.|(\./)?app\.(sock|log)|\.gunicorn(/.*)?) differs"}
"""What differs after a move, rightly: Django's program is started anew, makes its socket and tells it to its log."""


class Visitor:
    """Asks the application again and again, each time with a number of its own, at the address of one server."""

    def __init__(self, app: Application, address: str) -> None:
        self.app, self.address = app, address
        self.answers: dict[int, int | str] = {}
        self.longest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=inside, args=(topology.VISITOR, self._go_on), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def rest(self) -> None:
        self._over.set()
        self._thread.join()

    def _go_on(self) -> None:
        number = 0
        while not self._over.wait(0.1):
            number += 1
            began = time.monotonic()
            try:
                self.answers[number] = self._ask(number)
            except (OSError, http.client.HTTPException) as error:
                self.answers[number] = repr(error)
            self.longest = max(self.longest, time.monotonic() - began)

    def _ask(self, number: int) -> int | str:
        connection = http.client.HTTPConnection(self.address, 80, timeout=100)
        try:
            headers = {"Host": f"{self.app.name}.example", "Content-Type": "application/x-www-form-urlencoded"}
            if self.app.body is None:
                connection.request("GET", self.app.page, headers=headers)
            else:
                connection.request("POST", self.app.page, self.app.body.format(n=number), headers)
            response = connection.getresponse()
            text = response.read()
            # MediaWiki tells an edit that failed with the status of one that did not.
            return 200 if response.status == 200 and b'"error"' not in text else f"{response.status} {text[:300]!r}"
        finally:
            connection.close()


class Grove:
    """An original with the applications, the transit, and a new original; visitors never stop."""

    def __init__(self, lab: Lab, sides: list[Side]) -> None:
        self.lab, self.sides = lab, sides
        original = sides[0]
        for one in sides:
            one.host.call(verbs.AcceptIps(ips=list(lab.server(one.name).ips)))
        server = Server(
            executor(original.name), lambda statement: original.host.call(verbs.Create(account_file=statement))
        )
        with ThreadPoolExecutor(3) as pool:
            made = pool.map(lambda at: lab.at_home(at[1].make, server, 2701 + at[0]), enumerate(APPLICATIONS))
        self.statements = dict(zip(NAMES, made, strict=True))
        self.visitors = {app.name: Visitor(app, lab.server(original.name).ips[0]) for app in APPLICATIONS}
        for visitor in self.visitors.values():
            visitor.start()
        time.sleep(3)

    def move(self, old: Side, new: Side, epoch: int) -> dict[str, Switched]:
        """Every account goes from one server to the next, one after the other; what each switch answered."""
        moved = {}
        for name, statement in self.statements.items():
            moved[name] = Move(f"{name}-{epoch}", epoch, statement, old, new).prepare().switch(60)
        return moved

    def rest(self) -> None:
        for visitor in self.visitors.values():
            visitor.rest()


@pytest.fixture(scope="module")
def grove(lab: Lab) -> Iterator[Grove]:
    with lab.fresh("2022", "2026", "2026") as servers:
        made = Grove(lab, [side(lab, one) for one in servers])
        try:
            yield made
        finally:
            made.rest()


def test_they_go_out_and_home(grove: Grove) -> None:
    original, transit, home = grove.sides
    for epoch, (old, new) in enumerate(((original, transit), (transit, home)), 2):
        for name, moved in grove.move(old, new, epoch).items():
            assert measured(moved.verified).equal, name
            print(f"{name} epoch {epoch}: held {moved.held_ms:.0f} ms")
    grove.rest()


@pytest.mark.parametrize("app", APPLICATIONS, ids=NAMES)
def test_nobody_noticed(grove: Grove, app: Application) -> None:
    visitor = grove.visitors[app.name]
    failed = {number: answer for number, answer in visitor.answers.items() if answer != 200}
    print(f"{app.name}: {len(visitor.answers)} requests, the longest wait {visitor.longest:.2f} s")
    assert len(visitor.answers) > 20 and failed == {}
    if app.kept:
        kept = Counter(int(line) for line in grove.sides[2].root(*app.kept).split())
        assert [number for number in visitor.answers if kept[number] != 1] == []


@pytest.mark.parametrize("name", ("bench", "ledger"))
def test_the_balances_are_equal(grove: Grove, name: str) -> None:
    if name == "bench":
        argv = ["runuser", "-u", "postgres", "--", "psql", "-XqAt", "-d", name, "-c", BALANCES]
    else:
        argv = ["mariadb", "--batch", "--skip-column-names", name, "-e", BALANCES]
    assert grove.sides[2].root(*argv).replace("\t", "|").strip() in ("t|t|t", "1|1|1")


@pytest.mark.parametrize("app", APPLICATIONS, ids=NAMES)
def test_the_dumps_of_both_servers_are_equal(grove: Grove, app: Application) -> None:
    _, transit, home = grove.sides
    transit.host.call(verbs.Remove(account=app.name))
    statement = grove.statements[app.name]
    moved = Move(f"{app.name}-4", 4, statement, home, transit).prepare().switch(60)
    assert measured(moved.verified).equal
    found = differences(home, transit, statement)
    assert [one for one in found if app.name not in APART or not re.match(APART[app.name], one)] == []
