"""An account's pages, fetched from the original and from its copy, side by side."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from include.compatibility import fetch, text
from include.compatibility.fetch import NotRead, Packed, Side

MAX_PAGES = 10
SECONDS_A_PAGE = 30.0
SECONDS_IN_ALL = 600.0
SLOW_SECONDS = 1.0
SLOW_TIMES = 3

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
    comparison: dict[str, Any] = {"pages": [], "not_looked_at": []}
    end = time.monotonic() + SECONDS_IN_ALL
    async with fetch.client(transport) as client:
        for site in sites:
            await _site(client, site, comparison, end)
    return comparison


async def _site(client: httpx.AsyncClient, site: Site, comparison: dict[str, Any], end: float) -> None:
    if time.monotonic() > end:
        comparison["not_looked_at"].append(f"There was no time left for {site.domain}.")
        return
    old, new = await _sides(client, site)
    waiting, seen = ["/"], {"/"}
    for path in waiting:
        if time.monotonic() > end:
            comparison["not_looked_at"].append(f"There was no time left for {old.url(path)} and what comes after it.")
            return
        try:
            before, after = await _both(client, old, new, path)
        except NotRead as error:
            comparison["not_looked_at"].append(str(error))
            continue
        comparison["pages"].append(_compared(site, old.url(path), new.url(path), before, after))
        if path == "/":
            more = [link for link in _links(before, old) if link not in seen]
            waiting += more[: MAX_PAGES - 1]
            seen.update(more)


async def _sides(client: httpx.AsyncClient, site: Site) -> tuple[Side, Side]:
    """Both sides by HTTPS if both speak it under their names, otherwise both by HTTP: a site that acts by the scheme
    is compared like with like."""
    for scheme in ("https", "http"):
        old = Side((site.domain, *site.aliases), site.original_address, scheme)
        new = Side((site.test_name,), site.test_address, scheme)
        if scheme == "http" or (await _speaks(client, old) and await _speaks(client, new)):
            break
    return old, new


async def _speaks(client: httpx.AsyncClient, side: Side) -> bool:
    try:
        await fetch.fetch(client, side, "/", SECONDS_A_PAGE, redirects=0)
    except NotRead as error:
        return isinstance(error, Packed)
    return True


async def _both(client: httpx.AsyncClient, old: Side, new: Side, path: str) -> tuple[_Answer, _Answer]:
    """The page on both sides; NotRead, as a sentence, where there is nothing to compare."""
    try:
        before = await _answer(client, old, path)
    except NotRead as error:
        raise NotRead(f"{old.url(path)} {error} on the present server: not compared.") from None
    try:
        after = await _answer_or_none(client, new, path)
        if slower((before.seconds, after.seconds)):
            again = await _answer_or_none(client, new, path)  # the first request may have filled a cache
            after = min(after, again, key=lambda answer: (answer.status is None, answer.seconds))
    except Packed as error:
        raise NotRead(f"{new.url(path)} {error} on the test server: not compared.") from None
    return before, after


async def _answer_or_none(client: httpx.AsyncClient, side: Side, path: str) -> _Answer:
    """That a copy does not answer is told by its status."""
    began = time.monotonic()
    try:
        return await _answer(client, side, path)
    except Packed:
        raise
    except NotRead:
        return _Answer(None, time.monotonic() - began, text.Text(), path)


async def _answer(client: httpx.AsyncClient, side: Side, path: str) -> _Answer:
    page = await fetch.fetch(client, side, path, SECONDS_A_PAGE)
    return _Answer(page.status, page.seconds, text.read(page.text), page.path)


def _links(answer: _Answer, side: Side) -> list[str]:
    """Paths of the same site that a page links to, in the page's order, each once; without what acts, or is no page."""
    paths: dict[str, None] = {}
    for link in answer.content.links:
        try:
            to = urlsplit(urljoin(side.url(answer.path), link.strip()))
            port = to.port
        except ValueError:
            continue
        path = fetch.clean(to.path, to.query)
        here = to.scheme in ("http", "https") and to.hostname in side.names and port in (None, 80, 443)
        if here and not _ACTS.search(path) and not _NO_PAGE.search(to.path) and len(path) <= 500:
            paths[path] = None
    return list(paths)


def _compared(site: Site, url: str, test_url: str, before: _Answer, after: _Answer) -> dict[str, Any]:
    old, new = ([text.without_hosts(word, site.hosts) for word in side.content.words] for side in (before, after))
    old_complaints = set(text.complaints(old))
    return {
        "url": url,
        "test_url": test_url,
        "status": [before.status, after.status],
        "title": [before.content.title, after.content.title],
        "likeness": text.likeness(old, new),
        "php_errors": [complaint for complaint in text.complaints(new) if complaint not in old_complaints],
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
