"""The addresses of an account: its mailboxes, and its forwarders, of which one may catch all mail of a domain."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..host.digest import printable
from .file_values import DOMAIN, bad, mapping
from .mail_places import Place, Quota

# Atoms and dots of RFC 5321, without the signs that mean something to a file system ("/") or as a route through another
# server ("%", "!"). "#" begins no name of the account's own: with it a line of Postfix's tables would be a comment.
_ATOM = r"[A-Za-z0-9#$&'*+=?^_`{|}~-]"
_LOCAL_PART = re.compile(rf"(?=.{{1,64}}\Z){_ATOM}+(\.{_ATOM}+)*")
_OF_CRYPT = re.compile(r"\$(1|2[abxy]|5|6|7|y|gy)\$")
_HASH = re.compile(r"\{[A-Z0-9.-]{3,32}\}[!-9;-~]{1,400}")
_MOST_TARGETS = 100
_MOST_FORWARDERS = 10_000
_LONGEST_WAY = 50
_MOST_COPIES = 1000
"""As many as Postfix makes of one message (virtual_alias_expansion_limit)."""


@dataclass(frozen=True)
class Mailbox:
    """A mailbox: its address and the hash of its password, with the scheme in braces as Dovecot writes it.

    `place`: where its messages lie, if not in the home as usual."""

    address: str
    password_hash: str
    place: Place | None = None
    quota: Quota | None = None

    @property
    def domain(self) -> str:
        return self.address.partition("@")[2]

    @property
    def local_part(self) -> str:
        return self.address.partition("@")[0]

    @property
    def key(self) -> str:
        """The address as mail servers look it up."""
        return self.address.lower()

    def to_json(self) -> dict[str, Any]:
        return {
            "address": self.address,
            "password_hash": self.password_hash,
            **({"place": self.place.to_json()} if self.place else {}),
            **({"quota": self.quota.to_json()} if self.quota else {}),
        }

    @classmethod
    def from_json(cls, item: Any, domains: tuple[str, ...]) -> "Mailbox":
        item = mapping(item, "A mailbox", ("address", "password_hash", "place", "quota"))
        address, password_hash = item.get("address"), item.get("password_hash")
        _require_own("mailbox", address, domains)
        if isinstance(password_hash, str) and _OF_CRYPT.match(password_hash):
            password_hash = "{CRYPT}" + password_hash  # as Dovecot takes one that names no scheme
        if not isinstance(password_hash, str) or not _HASH.fullmatch(password_hash):
            bad(f"The password hash of {address} must begin with its scheme in braces and hold no space or colon.")
        place, quota = item.get("place"), item.get("quota")
        return cls(
            address,
            password_hash,
            None if place is None else Place.from_json(place, address),
            None if quota is None else Quota.from_json(quota, address),
        )


@dataclass(frozen=True)
class Forwarder:
    """Where mail to an address goes instead: to each of `to`, here or elsewhere. "@domain" is all of that domain's
    mail that has neither a mailbox nor a forwarder. One with the address of a mailbox keeps a copy in it if it names
    itself."""

    address: str
    to: tuple[str, ...]

    @property
    def domain(self) -> str:
        return self.address.partition("@")[2]

    @property
    def catches_all(self) -> bool:
        return self.address.startswith("@")

    def to_json(self) -> dict[str, Any]:
        return {"address": self.address, "to": list(self.to)}

    @classmethod
    def from_json(cls, item: Any, domains: tuple[str, ...]) -> "Forwarder":
        item = mapping(item, "A forwarder", ("address", "to"))
        address, to = item.get("address"), item.get("to")
        if not isinstance(address, str) or address[:1] != "@" or address[1:] not in domains:
            _require_own("forwarder", address, domains)
        if not isinstance(to, list) or not 1 <= len(to) <= _MOST_TARGETS:
            bad(f"The forwarder {address} must have a list `to` of 1 to {_MOST_TARGETS} addresses.")
        for target in to:
            if not isinstance(target, str) or not _is_address(target):
                bad(
                    f"The forwarder {address} leads to {_shown(target)}, which is no address such as"
                    " name@domain.example; correct it or take it out."
                )
        return cls(address.lower(), tuple(dict.fromkeys(_as_looked_up(target, domains) for target in to)))


def _is_address(value: str) -> bool:
    local_part, _, domain = value.partition("@")
    return bool(_LOCAL_PART.fullmatch(local_part) and DOMAIN.fullmatch(domain.lower()))


def _as_looked_up(target: str, domains: tuple[str, ...]) -> str:
    """In lower case as far as that means the same: the case of a name elsewhere is that server's matter."""
    local_part, _, domain = target.partition("@")
    domain = domain.lower()
    return f"{local_part.lower() if domain in domains else local_part}@{domain}"


def _require_own(kind: str, address: Any, domains: tuple[str, ...]) -> None:
    local_part, _, domain = address.partition("@") if isinstance(address, str) else ("", "", "")
    if not _LOCAL_PART.fullmatch(local_part) or local_part[0] == "#" or domain not in domains:
        also = ", or @domain for all other mail of a domain" if kind == "forwarder" else ""
        bad(
            f"The {kind} {_shown(address)} must be a name of letters, digits and . _ - + ' & = ~ ^ # $ * ? ` {{ | }} at"
            f" one of the account's mail domains{also}; rename it (mail to +anything behind a name arrives there too)."
        )


def require_an_end(mailboxes: Iterable[Mailbox], forwarders: tuple[Forwarder, ...], domains: Iterable[str]) -> None:
    """Refuse forwarders in a circle, of too long a way, or that make too many messages of one.

    A mail server finds it out with every message, and then takes none."""
    if len(forwarders) > _MOST_FORWARDERS:
        bad(f"The account has {len(forwarders)} forwarders; {_MOST_FORWARDERS} are the most.")
    _Forwarding({mailbox.key for mailbox in mailboxes}, {f.address: f for f in forwarders}, {*domains}).check()


@dataclass(frozen=True)
class _Forwarding:
    mailboxes: set[str]
    forwarders: dict[str, Forwarder]
    domains: set[str]

    def check(self) -> None:
        counted: dict[str, tuple[int, int]] = {}
        for address in self.forwarders:
            self._follow(address, (), counted)

    def _follow(self, address: str, before: tuple[str, ...], counted: dict[str, tuple[int, int]]) -> tuple[int, int]:
        """Into how many messages this forwarder makes one, and through how many forwarders the longest way leads."""
        if address in before:
            bad(f"The forwarder {address} leads to itself in the end; take it out of what it leads to.")
        if len(before) >= _LONGEST_WAY:
            _bad_way(before[0])
        if address not in counted:
            copies = way = 0
            for target in self.forwarders[address].to:
                name = self._next(address, target)
                further = self._follow(name, (*before, address), counted) if name else (1, 0)
                copies, way = copies + further[0], max(way, further[1])
                if len(before) + way >= _LONGEST_WAY:
                    _bad_way((*before, address)[0])
                if copies > _MOST_COPIES:
                    bad(f"The forwarder {address} makes more than {_MOST_COPIES} messages of one; use a mailing list.")
            counted[address] = copies, way + 1
        return counted[address]

    def _next(self, address: str, target: str) -> str | None:
        """The forwarder that takes what this one sends to the target; None when the way ends there."""
        if target == address and address in self.mailboxes:
            return None
        local_part, _, domain = target.partition("@")
        if domain not in self.domains:
            return None
        for name in (target, f"{local_part.partition('+')[0]}@{domain}"):
            if name in self.forwarders:
                return name
            if name in self.mailboxes:
                return None
        return f"@{domain}" if f"@{domain}" in self.forwarders else None


def _bad_way(address: str) -> None:
    bad(f"The forwarder {address} leads through more than {_LONGEST_WAY} others; lead it on directly.")


def _shown(value: Any) -> str:
    return printable(f"{value!r:.340}")
