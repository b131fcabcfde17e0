"""Test names: under the test domain, one for each site of the account, leading to the server that holds its copy."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import psycopg

from include import registry
from include.moves.network import own_addresses
from include.network.names import NameChanged, Names

TTL = 60
MAX_LABEL = 63
KEPT = 50
"""Characters of a name that are kept before the digest that makes it unique."""


def chosen(of: Iterable[str], test_domain: str) -> dict[str, str]:
    """The test name of each site's domain (or of an account without sites)."""
    return {name: f"{label(name)}.{test_domain}" for name in of}


def label(name: str) -> str:
    """A domain as one label: `shop.example` is `shop-example`.

    One that is too long, or that another could be taken for (`a-b.example` and `a.b.example`), bears a digest.
    """
    plain = name.lower().replace(".", "-")
    if re.fullmatch(r"[a-z0-9.]+", name.lower()) and len(plain) <= MAX_LABEL:
        return plain
    # A label that begins with xn-- would be read as punycode.
    words = [word for word in re.split(r"[^a-z0-9]+", plain) if word not in ("", "xn")]
    digest = hashlib.sha256(name.lower().encode()).hexdigest()[:10]
    return "-".join([*filter(None, ["-".join(words)[:KEPT].strip("-")]), digest])


def lead(conn: psycopg.Connection, zone: Names, names: Iterable[str], server: str) -> None:
    """Lets test names lead to the test server's own addresses. A name that leads elsewhere is somebody else's:
    refused, and it stays."""
    addresses = own_addresses(conn, server)
    if not addresses:
        raise registry.RegistryRefused(
            f"The test server {server} has no IP in the registry: add one, so that tests are found."
        )
    for name in names:
        for rdtype, address in addresses.items():
            try:
                zone.point(name, rdtype, None, address, TTL)
            except NameChanged as error:
                raise registry.RegistryRefused(f"The test name {error}") from error


def take_away(conn: psycopg.Connection, zone: Names, names: Iterable[str], server: str) -> None:
    """Test names that lead to the test server lead nowhere; others are not ours."""
    for name in names:
        for rdtype, address in own_addresses(conn, server).items():
            if zone.held(name, rdtype)[0] == address:
                zone.point(name, rdtype, address, None, TTL)
