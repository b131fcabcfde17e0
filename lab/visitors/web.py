"""A visitor of web sites: `python -m lab.visitors.web --log FILE --site ACCOUNT=DOMAIN --resolver IP ...`

For each site it asks RATE times a second, whether or not earlier answers have come: it writes with an id of
its own (POST /visit.php), reads back what it wrote before, and now and then opens the front page; by HTTP and
HTTPS, IPv4 and IPv6, each on a connection of its own. One JSON line a request:
{"t": start (Unix), "s": seconds, "account", "visitor", "kind": "write|read|page", "scheme", "address", "id",
"status", "ok", "error"?}. A request that gets no good answer within 60 s has failed; nothing is tried twice.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from lab.visitors.log import Log, stopping
from lab.visitors.names import Fixed, Names

TIMEOUT = 60.0
LAST_ANSWERS = 10.0
"""Seconds given to answers under way once the visitor is told to stop; those left are not logged."""
AT_MOST = 400
"""Requests of one site under way; more would measure the visitor and not the site."""


@dataclass
class Site:
    """A site this visitor asks, and what it remembers of it."""

    account: str
    domain: str
    written: deque[str] = field(default_factory=lambda: deque(maxlen=50))
    number: int = 0
    under_way: int = 0


class Visitor:
    """Asks its sites until told to stop."""

    def __init__(self, name: str, sites: list[Site], names: Names | Fixed, rate: float, ca: Path, log: Log) -> None:
        self.name, self.sites, self.names, self.rate, self.log = name, sites, names, rate, log
        self.tls = ssl.create_default_context(cafile=str(ca))
        self.run = f"{os.getpid():x}{int(time.time()):x}"

    async def ask_for_ever(self, site: Site, stop: asyncio.Event) -> None:
        """One request every 1/rate seconds, at fixed times: slow answers do not thin the visits out."""
        due = time.monotonic()
        tasks: set[asyncio.Task[None]] = set()
        while not stop.is_set():
            if site.under_way < AT_MOST:
                task = asyncio.create_task(self.visit(site))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            due += 1 / self.rate
            try:
                await asyncio.wait_for(stop.wait(), max(0.0, due - time.monotonic()))
            except TimeoutError:
                pass
        if tasks:
            await asyncio.wait(tasks, timeout=LAST_ANSWERS)

    async def visit(self, site: Site) -> None:
        """One request, and its line in the log."""
        number, site.number = site.number, site.number + 1
        kind = "page" if number % 20 == 19 else "write" if number % 2 == 0 or not site.written else "read"
        scheme = "https" if number // 2 % 2 else "http"
        family = 6 if number // 4 % 2 else 4
        event = {
            "t": time.time(),
            "account": site.account,
            "visitor": self.name,
            "kind": kind,
            "scheme": scheme,
        }
        began = time.monotonic()
        visit = f"{self.name}-{self.run}-{number}" if kind == "write" else ""
        if kind == "read":
            visit = site.written[number % len(site.written)]
        site.under_way += 1
        try:
            async with asyncio.timeout(TIMEOUT):
                address = await asyncio.to_thread(self.names.address, site.domain, family)
                event["address"] = address
                status, body = await self.request(site.domain, scheme, address, kind, visit)
            event["status"] = status
            event["ok"] = 200 <= status < 400 and (kind == "page" or visit.encode() in body)
            if not event["ok"]:
                event["error"] = body[:120].decode(errors="replace")
        except (OSError, EOFError, LookupError, TimeoutError, ValueError) as error:
            event |= {"status": 0, "ok": False, "error": f"{type(error).__name__}: {error}"[:200]}
        finally:
            site.under_way -= 1
        if kind == "write" and event["ok"]:
            site.written.append(visit)
        self.log.write(event | {"s": round(time.monotonic() - began, 5), "id": visit})

    async def request(self, domain: str, scheme: str, address: str, kind: str, visit: str) -> tuple[int, bytes]:
        """Sends one request on a new connection; gives status and body."""
        secure: dict[str, Any] = {"ssl": self.tls, "server_hostname": domain} if scheme == "https" else {}
        port = 443 if secure else 80
        reader, writer = await asyncio.open_connection(address, port, limit=1 << 22, **secure)
        try:
            head = [f"Host: {domain}", "User-Agent: visitor", "Connection: close"]
            body = b""
            if kind == "write":
                body = urlencode({"id": visit}).encode()
                head += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
            line = {"write": "POST /visit.php", "read": f"GET /visit.php?id={visit}", "page": "GET /"}[kind]
            writer.write("\r\n".join([f"{line} HTTP/1.1", *head, "", ""]).encode() + body)
            await writer.drain()
            return await answer(reader)
        finally:
            writer.transport.abort()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Reads one whole HTTP/1.1 answer; raises EOFError or ValueError if it is cut off or none."""
    first = (await reader.readuntil(b"\r\n")).split(None, 2)
    if len(first) < 2 or not first[0].startswith(b"HTTP/1."):
        raise ValueError("not an HTTP answer")
    status = int(first[1])
    headers: dict[bytes, bytes] = {}
    while line := (await reader.readuntil(b"\r\n")).strip():
        name, _, value = line.partition(b":")
        headers[name.strip().lower()] = value.strip()
    if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        while (await reader.readuntil(b"\r\n")).strip():
            pass  # trailers, and the empty line after them
        return status, body
    if b"content-length" in headers:
        return status, await reader.readexactly(int(headers[b"content-length"]))
    return status, await reader.read()


async def main() -> None:
    """The command line; runs until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--name", required=True, help="this visitor's name: a-z, 0-9 and -")
    parser.add_argument("--site", action="append", required=True, help="ACCOUNT=DOMAIN; may be repeated")
    parser.add_argument("--ca", type=Path, required=True, help="the certificate authority it trusts")
    parser.add_argument("--rate", type=float, default=4.0, help="requests a second, for each site")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--resolver", help="asks this resolver")
    where.add_argument("--address", action="append", help="always goes there; one for each family")
    given = parser.parse_args()
    names = Names(given.resolver) if given.resolver else Fixed(given.address)
    sites = [Site(*entry.split("=", 1)) for entry in given.site]
    log = Log(given.log)
    visitor = Visitor(given.name, sites, names, given.rate, given.ca, log)
    stop = asyncio.Event()
    stopped = stopping()
    waiting = asyncio.create_task(asyncio.to_thread(stopped.wait))
    waiting.add_done_callback(lambda _: stop.set())
    await asyncio.gather(*(visitor.ask_for_ever(site, stop) for site in sites))
    log.close()
    os._exit(0)  # answers still under way were given their time


if __name__ == "__main__":
    asyncio.run(main())
