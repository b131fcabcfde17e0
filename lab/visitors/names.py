"""Where a visitor finds a site: by asking a resolver, or at always the same addresses."""

from __future__ import annotations

import time

import dns.exception
import dns.resolver

TIMEOUT = 20.0
"""Seconds until a visitor's resolver gives a name up."""


class Names:
    """Asks one resolver and keeps the answer for its TTL, as a visitor's own machine does. Thread-safe."""

    def __init__(self, resolver: str) -> None:
        self._resolver = dns.resolver.Resolver(configure=False)
        self._resolver.nameservers = [resolver]
        self._resolver.timeout = 2.0
        self._resolver.lifetime = TIMEOUT
        self._kept: dict[tuple[str, int], tuple[float, str]] = {}

    def address(self, name: str, family: int) -> str:
        """The address of `name`; `family` is 4 or 6. Raises LookupError."""
        key = (name, family)
        cached = self._kept.get(key)
        if cached and cached[0] > time.monotonic():
            return cached[1]
        try:
            answer = self._resolver.resolve(name, "A" if family == 4 else "AAAA", search=False)
        except dns.exception.DNSException as error:
            raise LookupError(f"no address for {name}: {type(error).__name__}") from error
        assert answer.rrset is not None
        address = str(answer[0])
        self._kept[key] = (time.monotonic() + answer.rrset.ttl, address)
        return address


class Fixed:
    """Sticks to the addresses it knows, whatever the names say: a visitor whose DNS is not the host's."""

    def __init__(self, addresses: list[str]) -> None:
        self._addresses = {6 if ":" in address else 4: address for address in addresses}

    def address(self, name: str, family: int) -> str:
        """The address of that family, or the only one there is."""
        return self._addresses.get(family) or next(iter(self._addresses.values()))
