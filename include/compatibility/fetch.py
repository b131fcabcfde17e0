"""A page of a customer's site, fetched as any visitor would, with GET. The only place where pages are fetched.

Only the address that the host itself gives is ever connected to, whatever a page links or redirects to. What comes back
is hostile: its bytes are counted as they come over the wire, nothing of it is unpacked, one deadline holds for all of
it, redirects included, and what is read of a header is cut before it is looked at.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx

MAX_BYTES = 2_000_000
MAX_REDIRECTS = 5
MAX_HEADER = 2000
"""So many characters of a header are looked at; httpx reads no more than 100 kB of them all."""

_AGENT = "Mozilla/5.0 (compatible; Transhumance compatibility report)"
_CHARSET = re.compile(r"charset\s{0,9}=\s{0,9}[\"']?([\w.:-]{1,40})", re.IGNORECASE)
_CHARSETS = re.compile(
    r"utf-?8|us-ascii|iso-?8859-?\d{1,2}|windows-125\d|koi8-[ru]|shift_jis|euc-(jp|kr)|gb(k|2312|18030)|big5",
    re.IGNORECASE,
)
"""What pages are written in. Python knows others as well, of which some take quadratic time."""


class NotRead(Exception):
    """There is nothing that could be read; the message says why, in words that follow the page's address."""


class Packed(NotRead):
    """It answered, in an encoding that we did not ask for. Bytes that unpack to millions of others are not unpacked."""


@dataclass(frozen=True)
class Side:
    """Where a site is asked: the names that it has there, the first of them in the address; the IP; the scheme; the
    port, if it is not the scheme's own."""

    names: tuple[str, ...]
    address: str
    scheme: str
    port: int | None = None

    def url(self, path: str) -> str:
        """The address of a page, as a visitor writes it."""
        return f"{self.scheme}://{self.host(self.names[0])}{path}"

    def host(self, name: str) -> str:
        """A name of the site, with the port where one is needed."""
        return name if self.port is None else f"{name}:{self.port}"


@dataclass(frozen=True)
class Page:
    """What a page gave. `path`: where it was found in the end; `text`: what it is made of, empty where it is no text;
    `seconds`: until all of it was there; `certificate`: what the site showed, in DER."""

    status: int
    path: str
    seconds: float
    text: str = ""
    certificate: bytes | None = None


def client(transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """For `fetch`. The certificate is not what is compared: an expired one must not hide the page behind it. Where we
    connect to is given by the host, not by the customer."""
    return httpx.AsyncClient(verify=False, trust_env=False, transport=transport, timeout=None)


async def fetch(
    client: httpx.AsyncClient, side: Side, path: str, seconds: float, redirects: int = MAX_REDIRECTS
) -> Page:
    """A page, through redirects that stay on the site, all of it within `seconds`. NotRead where there is none."""
    began = time.monotonic()
    host, at = side.names[0], path
    client.cookies.clear()  # who asks is a new visitor
    try:
        async with asyncio.timeout(seconds):
            for _ in range(redirects + 1):
                async with client.stream(**_request(side, host, at)) as response:
                    onward = _onward(response, side, host, at) if redirects else None
                    text = await _text(response) if onward is None else ""
                    page = Page(response.status_code, at, time.monotonic() - began, text, _certificate(response))
                if onward is None:
                    break
                side, host, at = onward
            return page
    except TimeoutError:
        raise NotRead(f"was not there as a whole within {seconds:.0f} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError):
        raise NotRead("did not answer") from None


def _request(side: Side, host: str, path: str) -> dict[str, Any]:
    """A request to the side's own address, for one of its names."""
    address = ip_address(side.address)
    where = f"[{address}]" if address.version == 6 else str(address)
    return {
        "method": "GET",
        "url": f"{side.scheme}://{side.host(where)}{path}",
        "headers": {
            "Host": side.host(host),
            "User-Agent": _AGENT,
            "Accept": "text/html,*/*;q=0.5",
            "Accept-Encoding": "identity",
        },
        "extensions": {"sni_hostname": host},
    }


def _onward(response: httpx.Response, side: Side, host: str, path: str) -> tuple[Side, str, str] | None:
    """Side, name and path of a redirect that stays on the site; None for an answer that is to be read."""
    if response.status_code not in (301, 302, 303, 307, 308):
        return None
    to = urlsplit(urljoin(f"{side.scheme}://{host}{path}", _header(response, "location")))
    if to.scheme not in ("http", "https") or (to.hostname or "") not in side.names or to.port not in (None, 80, 443):
        return None
    return replace(side, scheme=to.scheme), to.hostname or host, clean(to.path, to.query)


def clean(path: str, query: str) -> str:
    """Path and query as they go into a request: no whitespace or control character of a page's making."""
    whole = urlunsplit(("", "", path or "/", query, ""))
    return whole if whole.startswith("/") and not whole.startswith("//") and whole.isprintable() else "/"


async def _text(response: httpx.Response) -> str:
    """The page's beginning, MAX_BYTES at most; empty for a picture and the like."""
    if _header(response, "content-encoding").strip().lower() not in ("", "identity"):
        raise Packed("came packed although it was asked for unpacked")
    kind = _header(response, "content-type") or "text/html"
    if not kind.lower().startswith(("text/", "application/xhtml", "application/json", "application/xml")):
        return ""
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) >= MAX_BYTES:
            break
    charset = _CHARSET.search(kind)
    name = charset[1] if charset and _CHARSETS.fullmatch(charset[1]) else "utf-8"
    try:
        return body[:MAX_BYTES].decode(name, "replace")
    except LookupError:
        return body[:MAX_BYTES].decode("utf-8", "replace")


def _header(response: httpx.Response, name: str) -> str:
    return response.headers.get(name, "")[:MAX_HEADER]


def _certificate(response: httpx.Response) -> bytes | None:
    """What the site showed, in DER; None without TLS."""
    stream = response.extensions.get("network_stream")
    tls = stream.get_extra_info("ssl_object") if stream else None
    return tls.getpeercert(binary_form=True) if tls else None
