"""An account's pages, fetched from the original and from its copy, side by side.

Only the two addresses that the host itself gives are ever connected to, whatever a page links or redirects to; a page
is asked for as any visitor would, with GET. What comes back is hostile: its size and its time are bounded.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx

from include.compatibility import text

MOST_PAGES = 10
MOST_BYTES = 2_000_000
MOST_REDIRECTS = 5
SECONDS_A_PAGE = 30.0
SECONDS_IN_ALL = 600.0
SLOW_SECONDS = 1.0
SLOW_TIMES = 3

_AGENT = "Mozilla/5.0 (compatible; Transhumance compatibility report)"
_ACTS = re.compile(r"(?i)logout|log-out|signout|delete|remove|unsubscribe|cart|action=|/feed|replytocom|wp-json|xmlrpc")
_NO_PAGE = re.compile(r"(?i)\.(?!(html?|php|phtml|aspx?|jsp)$)[a-z0-9]{1,5}$")


@dataclass(frozen=True)
class Site:
    """A site of the account: the names that it answers to, its test name, and the IPs of the original's server and of
    the test server."""

    domain: str
    test_name: str
    original_address: str
    test_address: str
    aliases: tuple[str, ...] = ()
    app: str | None = None

    @property
    def hosts(self) -> tuple[str, ...]:
        """All its names, on both sides."""
        return (self.domain, *self.aliases, self.test_name)


@dataclass(frozen=True)
class _Side:
    """Where a site is asked: the names that it has there, the first of them in the address; the IP; the scheme."""

    names: tuple[str, ...]
    address: str
    scheme: str

    def url(self, path: str) -> str:
        return f"{self.scheme}://{self.names[0]}{path}"


@dataclass(frozen=True)
class _Answer:
    """What a page gave. `status` None: nothing that could be read as an answer. `seconds` until all of it was there."""

    status: int | None
    seconds: float
    content: text.Text
    path: str = "/"


def compare_pages(sites: Iterable[Site], transport: httpx.AsyncBaseTransport | None = None) -> dict[str, Any]:
    """{"pages": [{"url", "test_url", "status": [old, new], "title": [old, new], "likeness": 0..1, "php_errors": [what
    only the copy shows], "seconds": [old, new]}], "not_looked_at": [sentences]}: the front page of each site, and pages
    of the same site that it links to, ten a site in all. A status is None where there was no answer."""
    return asyncio.run(_compare(list(sites), transport))


async def _compare(sites: list[Site], transport: httpx.AsyncBaseTransport | None) -> dict[str, Any]:
    found: dict[str, Any] = {"pages": [], "not_looked_at": []}
    end = time.monotonic() + SECONDS_IN_ALL
    # The certificate is not what is compared: an expired one must not hide the page behind it. Where we connect to is
    # given by the host, not by the customer.
    async with httpx.AsyncClient(verify=False, trust_env=False, transport=transport, timeout=SECONDS_A_PAGE) as client:
        for site in sites:
            await _site(client, site, found, end)
    return found


async def _site(client: httpx.AsyncClient, site: Site, found: dict[str, Any], end: float) -> None:
    old, new = await _sides(client, site)
    waiting, seen = ["/"], {"/"}
    for path in waiting:
        if time.monotonic() > end:
            found["not_looked_at"].append(f"There was no time left for {old.url(path)} and what comes after it.")
            return
        before = await _fetch(client, old, path)
        if before.status is None:
            found["not_looked_at"].append(f"{old.url(path)} did not answer on the present server: not compared.")
            continue
        after = await _fetch(client, new, path)
        if slower((before.seconds, after.seconds)):
            again = await _fetch(client, new, path)  # the first request may have filled a cache
            after = min(after, again, key=lambda answer: (answer.status is None, answer.seconds))
        found["pages"].append(_compared(site, old.url(path), new.url(path), before, after))
        if path == "/":
            more = [link for link in _links(before, old) if link not in seen]
            waiting += more[: MOST_PAGES - 1]
            seen.update(more)


async def _sides(client: httpx.AsyncClient, site: Site) -> tuple[_Side, _Side]:
    """Both sides by HTTPS if both speak it under their names, otherwise both by HTTP: a site that acts by the scheme
    is compared like with like."""
    for scheme in ("https", "http"):
        old = _Side((site.domain, *site.aliases), site.original_address, scheme)
        new = _Side((site.test_name,), site.test_address, scheme)
        if scheme == "http" or (await _speaks(client, old) and await _speaks(client, new)):
            break
    return old, new


async def _speaks(client: httpx.AsyncClient, side: _Side) -> bool:
    try:
        async with asyncio.timeout(SECONDS_A_PAGE), client.stream(**_request(side, side.names[0], "/")):
            return True
    except (httpx.HTTPError, TimeoutError):
        return False


async def _fetch(client: httpx.AsyncClient, side: _Side, path: str) -> _Answer:
    """A page, through redirects that stay on the site."""
    began = time.monotonic()
    host, at, scheme = side.names[0], path, side.scheme
    try:
        async with asyncio.timeout(SECONDS_A_PAGE):
            for _ in range(MOST_REDIRECTS + 1):
                there = _Side(side.names, side.address, scheme)
                async with client.stream(**_request(there, host, at)) as response:
                    onward = _onward(response, there, host, at)
                    if onward is None:
                        body = await _body(response)
                        return _Answer(response.status_code, time.monotonic() - began, _content(response, body), at)
                scheme, host, at = onward
            return _Answer(response.status_code, time.monotonic() - began, text.Text(), at)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError):
        return _Answer(None, time.monotonic() - began, text.Text(), path)


def _request(side: _Side, host: str, path: str) -> dict[str, Any]:
    """A request to the side's own address, for one of its names."""
    address = ip_address(side.address)
    where = f"[{address}]" if address.version == 6 else str(address)
    return {
        "method": "GET",
        "url": f"{side.scheme}://{where}{path}",
        "headers": {"Host": host, "User-Agent": _AGENT, "Accept": "text/html,*/*;q=0.5"},
        "extensions": {"sni_hostname": host},
    }


def _onward(response: httpx.Response, side: _Side, host: str, path: str) -> tuple[str, str, str] | None:
    """Scheme, host and path of a redirect that stays on the site; None for an answer that is to be read."""
    if response.status_code not in (301, 302, 303, 307, 308):
        return None
    to = urlsplit(urljoin(f"{side.scheme}://{host}{path}", response.headers.get("location", "")))
    if to.scheme not in ("http", "https") or (to.hostname or "") not in side.names or to.port not in (None, 80, 443):
        return None
    return to.scheme, to.hostname or host, _path(to.path, to.query)


async def _body(response: httpx.Response) -> bytes:
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) >= MOST_BYTES:
            break
    return bytes(body[:MOST_BYTES])


def _content(response: httpx.Response, body: bytes) -> text.Text:
    kind = response.headers.get("content-type", "text/html")
    if not kind.lower().startswith(("text/", "application/xhtml", "application/json", "application/xml")):
        return text.Text()
    try:
        html = body.decode(response.charset_encoding or "utf-8", "replace")
    except (LookupError, ValueError):
        html = body.decode("utf-8", "replace")
    return text.read(html)


def _links(answer: _Answer, side: _Side) -> list[str]:
    """Paths of the same site that a page links to, in the page's order, each once; without what acts, or is no page."""
    found: dict[str, None] = {}
    for link in answer.content.links:
        try:
            to = urlsplit(urljoin(side.url(answer.path), link.strip()))
            port = to.port
        except ValueError:
            continue
        path = _path(to.path, to.query)
        here = to.scheme in ("http", "https") and to.hostname in side.names and port in (None, 80, 443)
        if here and not _ACTS.search(path) and not _NO_PAGE.search(to.path) and len(path) <= 500:
            found[path] = None
    return list(found)


def _path(path: str, query: str) -> str:
    """Path and query as they go into a request: no whitespace or control character of a page's making."""
    whole = urlunsplit(("", "", path or "/", query, ""))
    return whole if whole.startswith("/") and not whole.startswith("//") and whole.isprintable() else "/"


def _compared(site: Site, url: str, test_url: str, before: _Answer, after: _Answer) -> dict[str, Any]:
    old, new = ([text.without_hosts(word, site.hosts) for word in side.content.words] for side in (before, after))
    known = set(text.complaints(old))
    return {
        "url": url,
        "test_url": test_url,
        "status": [before.status, after.status],
        "title": [before.content.title, after.content.title],
        "likeness": text.likeness(old, new),
        "php_errors": [said for said in text.complaints(new) if said not in known],
        "seconds": [round(before.seconds, 3), round(after.seconds, 3)],
        **({"of_app": True} if _of_app(site, before.path) else {}),
    }


def _of_app(site: Site, path: str) -> bool:
    """Whether a path is answered by a program of the account's own."""
    return site.app is not None and f"{path.partition('?')[0]}/".startswith(f"{site.app}/")


def slower(seconds: Iterable[float]) -> bool:
    """Whether a page is so much slower on the new version that its visitors would notice."""
    old, new = seconds
    return new > SLOW_TIMES * old and new > SLOW_SECONDS
