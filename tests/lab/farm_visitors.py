"""Visitors of the farm's accounts, who write at every visit."""

from __future__ import annotations

import http.client
import threading
import time
from dataclasses import dataclass

from lab import topology
from lab.demo.inside import inside


@dataclass(frozen=True)
class Visit:
    """One POST of the number `n`; times are of time.time(), `server` and `php` are what the page said."""

    account: str
    n: int
    sent: float
    answered: float
    status: int | str
    server: str = ""
    php: str = ""


class Visitors:
    """Post a number of its own each, `every` seconds, to each account's page at one address, from th-visitor."""

    def __init__(self, address: str, every: float = 0.1) -> None:
        self.address, self.every = address, every
        self.visits: list[Visit] = []
        self.accounts: list[str] = []
        self._over = threading.Event()
        self._asking: list[threading.Thread] = []
        self._thread = threading.Thread(target=inside, args=(topology.VISITOR, self._send), daemon=True)

    def start(self) -> None:
        """They ask from now on."""
        self._thread.start()

    def rest(self) -> None:
        """Nobody asks any more, and everybody has their answer."""
        self._over.set()
        if self._thread.ident:
            self._thread.join()
        for thread in self._asking:
            thread.join()

    def of(self, account: str, since: float = 0) -> list[Visit]:
        """The visits of an account that were sent since then, in the order of their answers."""
        return [visit for visit in list(self.visits) if visit.account == account and visit.sent >= since]

    def _send(self) -> None:
        n = 0
        while not self._over.wait(self.every):
            n += 1
            for account in list(self.accounts):
                thread = threading.Thread(target=self._ask, args=(account, n), daemon=True)
                thread.start()
                self._asking.append(thread)

    def _ask(self, account: str, n: int) -> None:
        sent = time.time()
        status: int | str
        try:
            status, server, php = post(self.address, account, n)
        except (OSError, http.client.HTTPException, ValueError) as error:
            status, server, php = repr(error), "", ""
        self.visits.append(Visit(account, n, sent, time.time(), status, server, php))


def post(address: str, account: str, n: int) -> tuple[int, str, str]:
    """One visit: (status, the server's name, its PHP). It may be held for as long as a hold may last."""
    connection = http.client.HTTPConnection(address, 80, timeout=100)
    try:
        headers = {"Host": f"{account}.example", "Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/", body=f"n={n}", headers=headers)
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
        if response.status != 200:
            return response.status, "", ""
        server, php = text.split("\n")[1].split()
        return 200, server, php
    finally:
        connection.close()
