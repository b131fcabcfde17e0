"""A site's everyday load: `python -m lab.visitors.load --log FILE --account A --domain D --ca FILE --address IP ...`

RATE requests a second at fixed times, whether or not earlier answers have come: every other one writes with an id
of its own (POST /visit.php), the rest read back what was written before, from each store in turn. Half of them by
HTTPS, half on connections that were kept from an earlier request, IPv4 and IPv6. One JSON line a request:
{"t": start (Unix), "s": seconds, "account", "kind": "write|read", "id", "ok", "status", "kept", "again", "error"?}.

A request whose kept connection turns out to be closed, with no byte of an answer, is asked again on a new one, as
browsers do; that is counted ("again"). Nothing else is tried twice. No good answer within 60 s is a failure.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
import time
from collections import deque
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from lab.visitors.log import Log, stopping
from lab.visitors.web import LAST_ANSWERS, TIMEOUT, answer

STORES = ("postgresql", "mariadb", "file")
IDLE = 5.0
"""Seconds that a connection is kept without a request."""
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Load:
    """Asks one site until told to stop."""

    def __init__(self, account: str, domain: str, addresses: list[str], rate: float, ca: Path, log: Log) -> None:
        self.account, self.domain, self.addresses, self.rate, self.log = account, domain, addresses, rate, log
        self.tls = ssl.create_default_context(cafile=str(ca))
        self.run = f"load-{os.getpid():x}{int(time.time()):x}"
        self.written: deque[str] = deque(maxlen=50)
        self.idle: dict[tuple[str, bool], list[tuple[float, Connection]]] = {}

    async def ask_for_ever(self, stop: asyncio.Event) -> None:
        """One request every 1/rate seconds: slow answers do not thin the visits out."""
        due, number = time.monotonic(), 0
        tasks: set[asyncio.Task[None]] = set()
        while not stop.is_set():
            task = asyncio.create_task(self.visit(number))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
            due += 1 / self.rate
            try:
                await asyncio.wait_for(stop.wait(), max(0.0, due - time.monotonic()))
            except TimeoutError:
                pass
        if tasks:
            await asyncio.wait(tasks, timeout=LAST_ANSWERS)

    async def visit(self, number: int) -> None:
        """One request, and its line in the log."""
        writes = number % 2 == 0 or not self.written
        identity = f"{self.run}-{number}" if writes else self.written[number % len(self.written)]
        event: dict[str, Any] = {"t": time.time(), "account": self.account, "kind": "write" if writes else "read"}
        began = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._ask(number, self._request(number, writes, identity), event)
            event["ok"] = event["status"] == 200 and identity.encode() in event.pop("body")
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            event |= {"status": 0, "ok": False, "error": f"{type(error).__name__}: {error}"[:200]}
        event.pop("body", None)
        if writes and event["ok"]:
            self.written.append(identity)
        self.log.write(event | {"s": round(time.monotonic() - began, 5), "id": identity})

    def _request(self, number: int, writes: bool, identity: str) -> bytes:
        head = [f"Host: {self.domain}", "User-Agent: load"]
        if writes:
            body = urlencode({"id": identity}).encode()
            head += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
            line = "POST /visit.php"
        else:
            body, line = b"", f"GET /visit.php?id={identity}&in={STORES[number // 2 % len(STORES)]}"
        if number // 2 % 2:
            head.append("Connection: close")
        return "\r\n".join([f"{line} HTTP/1.1", *head, "", ""]).encode() + body

    async def _ask(self, number: int, request: bytes, event: dict[str, Any]) -> None:
        """Asks on a kept or a new connection; status and body go into the event."""
        address, secure = self.addresses[number // 8 % len(self.addresses)], bool(number // 4 % 2)
        keep = b"Connection: close" not in request
        open_connection = self._take(address, secure) if keep else None
        event["kept"], event["again"] = open_connection is not None, False
        if open_connection is not None:
            try:
                await self._speak(open_connection, (address, secure), request, event, keep)
                return
            except (ConnectionError, EOFError) as error:
                if getattr(error, "partial", b""):
                    raise
                event["again"] = True
        more: dict[str, Any] = {"ssl": self.tls, "server_hostname": self.domain} if secure else {}
        new = await asyncio.open_connection(address, 443 if secure else 80, **more)
        await self._speak(new, (address, secure), request, event, keep)

    def _take(self, address: str, secure: bool) -> Connection | None:
        waiting = self.idle.get((address, secure), [])
        while waiting:
            since, connection = waiting.pop()
            if time.monotonic() - since < IDLE and not connection[0].at_eof():
                return connection
            connection[1].transport.abort()
        return None

    async def _speak(
        self, connection: Connection, where: tuple[str, bool], request: bytes, event: dict[str, Any], keep: bool
    ) -> None:
        reader, writer = connection
        try:
            writer.write(request)
            await writer.drain()
            event["status"], event["body"] = await answer(reader)
        except BaseException:
            writer.transport.abort()
            raise
        if keep and not reader.at_eof():
            self.idle.setdefault(where, []).append((time.monotonic(), connection))
        else:
            writer.transport.abort()


async def main() -> None:
    """The command line; runs until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--account", required=True)
    parser.add_argument("--domain", required=True)
    parser.add_argument("--ca", type=Path, required=True, help="the certificate authority it trusts")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--address", action="append", required=True, help="always goes there; one for each family")
    given = parser.parse_args()
    log = Log(given.log)
    load = Load(given.account, given.domain, given.address, given.rate, given.ca, log)
    stop = asyncio.Event()
    waiting = asyncio.create_task(asyncio.to_thread(stopping().wait))
    waiting.add_done_callback(lambda _: stop.set())
    await load.ask_for_ever(stop)
    log.close()
    os._exit(0)  # answers still under way were given their time


if __name__ == "__main__":
    asyncio.run(main())
