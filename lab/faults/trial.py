"""One move that something breaks into, and what became of it, as seen from outside."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from include import registry
from include.agent import verbs
from include.hosts import AgentError, HostUnreachable
from lab import topology
from lab.demo.inside import inside
from lab.faults.injections import Fault
from lab.faults.orchestrator import Run
from lab.faults.stage import ENGINE, INFRASTRUCTURE, REQUESTED_BY, Pair, connection, host, record, root

BEGUN_AT_MOST = 8
"""How often a run is begun again before it is called stuck."""
TIMEOUT = 240.0
"""Seconds within which a move must have ended after it was broken into."""
_AT_ONCE = 15
"""Visitors of an account that wait for an answer: more would only measure how slow a busy machine is."""
STEPS = {
    "preparing": ("move", "preparing"),
    "copying": ("move", "copying"),
    "switching": ("move", "switching"),
    "held": ("source", "held"),
    "left": ("source", "moved"),
    "recorded": ("move", "committed"),
}
"""How a step is known: by the registry's state of the move, or by the account's on its server."""


@dataclass
class Outcome:
    """What became of one move."""

    kind: str
    fault: str
    moment: str
    wrong: list[str]
    seconds: float
    """From the strike until the run had ended well."""
    begun: int
    asked: int
    failed: int
    longest_wait: float
    lost: int

    @property
    def right(self) -> bool:
        return not self.wrong


class Visitors:
    """Post a number of its own each to the account's page at the source's address, as long as the block lasts."""

    def __init__(self, address: str, account: str, first: int) -> None:
        self.address, self.account, self.first = address, account, first
        self.answers: dict[int, tuple[int | str, float, float]] = {}
        """number -> (status or error, when it was sent, how long it took)"""
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sender = threading.Thread(target=inside, args=(topology.VISITOR, self._send), daemon=True)

    def __enter__(self) -> Visitors:
        self._sender.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._sender.join()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        number = self.first
        while not self._over.wait(0.4):
            if number - self.first - len(self.answers) > _AT_ONCE:
                continue
            number += 1
            thread = threading.Thread(target=self._ask, args=(number,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _ask(self, number: int) -> None:
        sent = time.time()
        status: int | str
        try:
            status = self._post(number)
        except (OSError, http.client.HTTPException) as error:
            status = repr(error)
        self.answers[number] = (status, sent, time.time() - sent)

    def _post(self, number: int) -> int:
        connection = http.client.HTTPConnection(self.address, 80, timeout=100)
        try:
            headers = {"Host": f"{self.account}.example", "Content-Type": "application/x-www-form-urlencoded"}
            connection.request("POST", "/", body=f"n={number}", headers=headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()


class Trial:
    """A move of one account of a pair, in one kind of move."""

    def __init__(self, pair: Pair, kind: str, account: str) -> None:
        self.pair, self.kind, self.account = pair, kind, account
        self.pair_source, self.pair_target = pair.names if kind != "home" else (pair.target, pair.source)
        """The server that the account leaves, and the other one."""
        self.run = self._run()
        self.beside: list[Run] = []

    def _run(self) -> Run:
        conf: dict[str, Any] = {"account": self.account, "requested_by": REQUESTED_BY, "longest_wait_seconds": 30}
        run_id = f"faults-{self.kind}-{self.account}"
        if self.kind in ("out", "home"):
            return Run("move_account", run_id, {**conf, "to_server": self.pair_target})
        entry = INFRASTRUCTURE if self.kind == "over" else ENGINE
        more = {"entry": entry, "to_server": self.pair_target, "lift_gate_because": "no test is part of this"}
        return Run("migrate_account", run_id, {**conf, **more})

    def broken_by(self, fault: Fault | None, moment: str | float) -> Outcome:
        """Begin the move, break something at a step or after so many seconds, let it end, and look at everything."""
        # Where the names lead until the move has ended; what is written on the way home has numbers of its own.
        address = topology.server(self.pair_source).ips[0]
        self._record_both()
        with Visitors(address, self.account, 1_000_000 if self.kind == "home" else 0) as visitors:
            time.sleep(0.5)
            self.run.begin()
            came = self._await(moment)
            struck = time.monotonic()
            if fault is not None:
                fault.strike(self)
            stuck = self._bring_to_an_end(struck)
            seconds = time.monotonic() - struck
            time.sleep(1)
        wrong = [*stuck, *self._wrong(visitors, fault)]
        shown = moment if isinstance(moment, str) else f"{moment:.1f} s"
        if not came:
            shown += " (had ended)"
        statuses = [status for status, _, _ in visitors.answers.values()]
        return Outcome(
            kind=self.kind,
            fault=fault.name if fault else "nothing",
            moment=shown,
            wrong=wrong,
            seconds=round(seconds, 1),
            begun=self.run.begun,
            asked=len(statuses),
            failed=sum(status != 200 for status in statuses),
            longest_wait=round(max((took for _, _, took in visitors.answers.values()), default=0), 2),
            lost=len(self._lost(visitors)),
        )

    def _await(self, moment: str | float) -> bool:
        """Wait for the moment; whether the move had not ended before it."""
        if isinstance(moment, float):
            return not self.run.wait(moment)
        where, state = STEPS[moment]
        while self.run.running:
            if (self._state_of_move() if where == "move" else self._state_on(self.pair_source)) == state:
                return True
            time.sleep(0.03)
        return False

    def _state_of_move(self) -> str | None:
        with connection() as conn:
            moves = registry.moves_of_account(conn, self.account)
        return next((move.state for move in moves if move.run_id == self.run.run_id), None)

    def _state_on(self, server: str) -> str:
        """The account's state, as the server's own file has it."""
        text = root(server, "cat", f"/var/lib/transhumance/accounts/{self.account}/state.json", check=False)
        try:
            return json.loads(text)["state"]
        except ValueError:
            return "absent"

    def _bring_to_an_end(self, since: float) -> list[str]:
        """Begin the run again until it has ended well, as a scheduler and then a person would."""
        while time.monotonic() - since < TIMEOUT:
            self.run.wait(TIMEOUT)
            for other in self.beside:
                other.wait(TIMEOUT)
            if self.run.succeeded:
                return []
            if self.run.begun > BEGUN_AT_MOST:
                break
            time.sleep(1 + random.random())
            self._record_both()
            self.run.begin()
        self.run.kill()
        return [f"the move did not end: {self.run.last_error()}"]

    def _record_both(self) -> None:
        """As every hour: the last look may have met a disk that was full."""
        for server in self.pair.names:
            record(server)

    # --- what is right

    def _wrong(self, visitors: Visitors, fault: Fault | None) -> list[str]:
        """One sentence for each thing that is not as it must be."""
        wrong = []
        for server, expected in self._expected_states().items():
            if (state := self._described(server)) != expected:
                wrong.append(f"{self.account} is {state} on {server}, not {expected}")
        with connection() as conn:
            lives_on = registry.account(conn, self.account).server
            should = self.pair_source if self.kind == "engine" else self.pair_target
            if lives_on != should:
                wrong.append(f"the registry has it on {lives_on}, not on {should}")
        if lost := self._lost(visitors):
            wrong.append(f"{len(lost)} acknowledged writes are not there once: {lost[:5]}")
        turned_away = [number for number, (status, _, _) in visitors.answers.items() if status != 200]
        if turned_away and not (fault and fault.visitors):
            first = visitors.answers[turned_away[0]][0]
            wrong.append(f"{len(turned_away)} visitors were turned away, the first with {first}")
        wrong += [sentence for server in self.pair.names for sentence in self._left_on(server)]
        return wrong

    def _expected_states(self) -> dict[str, str]:
        if self.kind == "engine":
            return {self.pair_source: "serving"}
        return {self.pair_source: "moved", self.pair_target: "serving"}

    def _described(self, server: str) -> str:
        try:
            description = host(server).call(verbs.Describe())
        except (AgentError, HostUnreachable) as error:
            return f"unknown ({error})"
        return next((entry["state"] for entry in description.accounts if entry["account"] == self.account), "absent")

    def _lost(self, visitors: Visitors) -> list[int]:
        """Numbers that were acknowledged and are not exactly once in each store, where the account lives now."""
        acknowledged = [number for number, (status, _, _) in visitors.answers.items() if status == 200]
        files = self.pair_source if self.kind == "engine" else self.pair_target
        read = {
            "files": root(files, "cat", f"/home/{self.account}/visits", check=False),
            "mariadb": root(files, "mariadb", "-BNe", f"SELECT n FROM {self.account}.visits", check=False),
            "postgresql": root(
                self.pair_target,
                *("runuser", "-u", "postgres", "--", "psql", "-XqAt", "-d", self.account),
                *("-c", "SELECT n FROM visits"),
                check=False,
            ),
        }
        counts = {store: Counter(int(line) for line in text.split() if line.isdigit()) for store, text in read.items()}
        return [number for number in acknowledged if any(count[number] != 1 for count in counts.values())]

    def _left_on(self, server: str) -> list[str]:
        """What the move has left on a server that nothing needs any more."""
        with connection() as conn:
            keys = [m.key for m in registry.moves_of_account(conn, self.account) if m.run_id == self.run.run_id]
        if not keys:
            return ["the registry knows nothing of the move"]
        left, key = [], keys[0]
        if f"transhumance-move:{key}" in root(server, "cat", "/root/.ssh/authorized_keys", check=False):
            left.append(f"{server} still admits the move's key")
        units = root(server, "systemctl", "list-units", "--plain", "--no-legend", "transhumance-*", check=False)
        mine = [line.split()[0] for line in units.splitlines() if self.account in line or f"-{key}-" in line]
        if mine:
            left.append(f"{server} still runs {', '.join(mine)}")
        return left
