"""What lab tests of the agent share: two enrolled servers, an account with a PHP site, and visitors of it."""

import http.client
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from include.agent import verbs
from include.agent.verbs.reports import Switched
from include.hosts import AgentError, Host
from lab.pairing import End, receive
from tests.lab.handles import Lab, Running

Figure = TypeVar("Figure")

# The hash of "secret".
PASSWORD_HASH = (
    "{SHA512-CRYPT}$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/O6IND4WQhG."
)
PAGE = b"""<?php
file_put_contents(dirname(__DIR__) . "/visits", $_GET["n"] . "\\n", FILE_APPEND | LOCK_EX);
echo "seen ", $_GET["n"], " by PHP ", PHP_VERSION;
"""


def account_file(name: str, uid: int) -> dict[str, Any]:
    return {
        "account": name,
        "uid": uid,
        "gid": uid,
        "home": f"/home/{name}",
        "shell": "/bin/bash",
        "sites": [{"domain": f"{name}.example", "aliases": [], "root": "public_html"}],
        "postgresql": {"roles": [], "databases": []},
        "mariadb": {"users": [], "databases": []},
        "mail": {
            "domains": [f"{name}.example"],
            "mailboxes": [{"address": f"info@{name}.example", "password_hash": PASSWORD_HASH}],
        },
    }


_FENCE = """
import json, sys
sys.path.insert(0, "/usr/local/lib/transhumance/agent.pyz")
from agent.move import fence, forward, hold; from agent.host import system; from agent.host.kept import Kept
from agent.verbs.reports import Switched
step, args = json.loads(sys.argv[1])

def commit(**args):
    fence.commit(**args, figures=Switched())

def stay_held(**args):
    held = hold.Hold(**args)
    held.__enter__()
    for part in held.parts:
        held.still(part)

try:
    Kept().__enter__()
    {"hold": stay_held, "commit": commit, "release": forward.release}[step](**args)
    print("null")
except system.Refused as refused:
    print(json.dumps([refused.code, refused.message]))
"""


@dataclass
class Side:
    """One server of the pair: its agent, and root on it past the agent."""

    name: str
    address: str
    host: Host
    lab: Lab

    @property
    def end(self) -> End:
        """As one of the two servers of a move."""
        return End(self.host, self.address)

    def root(self, *argv: str, stdin: bytes | None = None, check: bool = True) -> str:
        return self.lab.root(self.name, list(argv), stdin=stdin, check=check)

    def state(self, account: str) -> str:
        found = [a["state"] for a in self.host.call(verbs.Describe()).accounts if a["account"] == account]
        return found[0] if found else "absent"

    def fence(self, step: str, **args: Any) -> None:
        """A step of the fence by itself (hold, commit, release), which is a switch's otherwise and no verb. A hold goes
        on after it, like that of an agent that was killed."""
        refused = json.loads(self.root("python3", "-c", _FENCE, json.dumps([step, args])))
        if refused is not None:
            raise AgentError(*refused)

    def fail_at(self, point: str) -> None:
        """The next agent that comes to this point is killed there."""
        self.root("mkdir", "-p", "/run/transhumance")
        self.root("tee", "/run/transhumance/failpoint", stdin=point.encode())

    def create(self, name: str, uid: int) -> dict[str, Any]:
        """An account whose page writes down every visit in ~/visits."""
        statement = account_file(name, uid)
        self.host.call(verbs.Create(account_file=statement))
        as_account = ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups")
        self.root(*as_account, "mkdir", "-p", f"/home/{name}/public_html")
        self.root(*as_account, "tee", f"/home/{name}/public_html/index.php", stdin=PAGE)
        self.root(*as_account, "chmod", "-R", "a+rX", f"/home/{name}/public_html")
        return statement

    def visits(self, name: str) -> list[int]:
        return sorted(int(line) for line in self.root("cat", f"/home/{name}/visits").split())


def side(lab: Lab, running: Running) -> Side:
    host = Host.connect(running.address, str(lab.ops_key), running.installed.host_key)
    host.push_agent()
    return Side(running.name, running.address, host, lab)


class Place:
    """A side as the fill wants it."""

    def __init__(self, one: Side) -> None:
        self.agent = one.host
        self.one = one

    def root(self, argv: Sequence[str], stdin: bytes | None = None) -> bytes:
        return self.one.root(*argv, stdin=stdin).encode()


@dataclass
class Move:
    """One move of an account from one side to the other, up to the start of its switch."""

    key: str
    epoch: int
    statement: dict[str, Any]
    source: Side
    target: Side
    peer: verbs.PeerAt | None = None

    @property
    def account(self) -> str:
        return self.statement["account"]

    def prepare(self) -> "Move":
        self.receive()
        self.source.host.run(f"{self.key}-copy", verbs.Copy(**self.args()))
        return self

    def receive(self) -> None:
        """The target waits for the account."""
        self.peer = receive(self.key, self.epoch, self.statement, self.source.end, self.target.end)

    def args(self, **more: Any) -> dict[str, Any]:
        return {"account": self.account, "move": self.key, "epoch": self.epoch, "peer": self.peer, **more}

    def switch(self, seconds: int = 30, budget: float = 10) -> Switched:
        """Tests of the behaviour run on machines of any speed, so the budget is wide."""
        verb = verbs.Switch(**self.args(hold_seconds=seconds, budget_seconds=budget))
        return self.source.host.run(f"{self.key}-switch", verb, poll=0.2)

    def switch_that_is_killed(self, seconds: int) -> None:
        try:
            self.switch(seconds)
        except AgentError as error:
            assert error.code == "vanished"
        else:
            raise AssertionError("the switch was not killed")


def measured(figure: Figure | None) -> Figure:
    """What every report of this release has: only one that is kept since an earlier release may lack it."""
    assert figure is not None
    return figure


class Visitors:
    """Ask for the account's page every so many seconds, each request with a number of its own."""

    def __init__(self, address: str, host: str, first: int, every: float) -> None:
        self.address, self.host, self.first, self.every = address, host, first, every
        self.answers: list[tuple[int, int | str, float]] = []
        self._threads: list[threading.Thread] = []
        self._over = threading.Event()

    def _send(self) -> None:
        number = self.first
        while not self._over.wait(self.every):
            thread = threading.Thread(target=self._ask, args=(number,))
            thread.start()
            self._threads.append(thread)
            number += 1

    def _ask(self, number: int) -> None:
        began = time.monotonic()
        try:
            self.answers.append((number, get(self.address, self.host, number), time.monotonic() - began))
        except (OSError, http.client.HTTPException) as error:
            self.answers.append((number, repr(error), time.monotonic() - began))

    @property
    def failed(self) -> list[tuple[int, int | str, float]]:
        return [answer for answer in self.answers if answer[1] != 200]

    @property
    def longest(self) -> float:
        return max(answer[2] for answer in self.answers)


def get(address: str, host: str, number: int = 0) -> int:
    """The status of one visit; it may be held for as long as a hold may last."""
    connection = http.client.HTTPConnection(address, 80, timeout=100)
    try:
        connection.request("GET", f"/?n={number}", headers={"Host": host})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


@contextmanager
def visitors(address: str, host: str, first: int, every: float = 0.05) -> Iterator[Visitors]:
    """Visitors for as long as the block lasts; all have their answers afterwards. They come however long the answers
    take, so a page that costs a server much is asked for more seldom."""
    crowd = Visitors(address, host, first, every)
    sender = threading.Thread(target=crowd._send)
    sender.start()
    try:
        time.sleep(0.3)
        yield crowd
        time.sleep(0.3)
    finally:
        crowd._over.set()
        sender.join()
        for thread in crowd._threads:
            thread.join()
