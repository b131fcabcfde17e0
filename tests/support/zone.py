"""A zone of the host's DNS in memory, and every answer that caches may hold of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from include.network.names import NameChanged, Resolved

Key = tuple[str, str]


@dataclass
class Zone:
    """`include.network.names.Names`, with a clock of its own. `records` is what the zone holds: (address, TTL)."""

    records: dict[Key, tuple[str, int]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    mail: dict[str, list[str]] = field(default_factory=dict)
    senders_of: dict[str, str] = field(default_factory=dict)
    lowered_ttl: int = 30
    now: float = 0.0
    past: list[tuple[Key, str, float]] = field(default_factory=list)
    """Answers that were replaced: the name, its address, until when a cache that keeps to TTLs may hold it."""

    def has(self, fqdn: str) -> bool:
        return fqdn.endswith(".example")

    def held(self, fqdn: str, rdtype: str) -> tuple[str | None, int | None]:
        return self.records.get((fqdn, rdtype), (None, None))

    def resolve(self, fqdn: str) -> Resolved:
        owner = self.aliases.get(fqdn, fqdn)
        return Resolved(owner, tuple((kind, *record) for (name, kind), record in self.records.items() if name == owner))

    def mail_hosts(self, domain: str) -> list[str]:
        return self.mail.get(domain, [])

    def senders(self, domain: str) -> str | None:
        return self.senders_of.get(domain)

    def point(self, fqdn: str, rdtype: str, old: str | None, new: str | None, ttl: int) -> bool:
        held = self.held(fqdn, rdtype)
        if held == (new, ttl):
            return False
        if held[0] not in (old, new):
            raise NameChanged(f"{fqdn} {rdtype} holds {held[0] or 'nothing'}, not {old}: see who changed it.")
        self.put(fqdn, rdtype, new, ttl)
        return True

    def put(self, fqdn: str, rdtype: str, address: str | None, ttl: int) -> None:
        """Changes the zone, whoever does it."""
        if (before := self.records.pop((fqdn, rdtype), None)) is not None:
            self.past.append(((fqdn, rdtype), before[0], self.now + before[1]))
        if address is not None:
            self.records[fqdn, rdtype] = (address, ttl)

    def stale_until(self, fqdn: str, rdtype: str) -> float:
        """Until when some cache may hold another address than the name has now."""
        address, _ = self.held(fqdn, rdtype)
        return max((until for key, held, until in self.past if key == (fqdn, rdtype) and held != address), default=0.0)
