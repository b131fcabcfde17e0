"""Names in the host's DNS, changed by RFC 2136 updates signed with TSIG.

Every change names the value it replaces, and the name server compares and swaps in one step: a name that
somebody else has changed meanwhile is left alone, and the caller is told.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.update

TYPES = ("A", "AAAA")


class NamesError(Exception):
    """Base of this module's errors."""


class NameChanged(NamesError):
    """The name no longer holds the value that was to be replaced."""


class NameServerFailed(NamesError):
    """The name server refused or did not answer."""


class NotInZone(NameServerFailed):
    """The name is kept by somebody else."""


@dataclass(frozen=True)
class Resolved:
    """Where the zone leads a name: `name` is the last one of its aliases, `records` what that one holds, as (type,
    address, TTL)."""

    name: str
    records: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class Names:
    """One zone on its primary name server. `secret` is the TSIG key in base64; `lowered_ttl` the TTL in seconds of
    names that are about to be pointed elsewhere."""

    server: str
    zone: str
    key_name: str
    secret: str = field(repr=False)
    algorithm: str = "hmac-sha256"
    timeout: float = 5.0
    lowered_ttl: int = 30

    def current(self, fqdn: str, rdtype: str) -> str | None:
        """The address a name holds on the primary, None if it has none of this type."""
        return self.held(fqdn, rdtype)[0]

    def held(self, fqdn: str, rdtype: str) -> tuple[str | None, int | None]:
        """The address a name holds on the primary, and its TTL. Raises NameChanged if it holds several."""
        return self._held(self._name(fqdn, rdtype), rdtype)

    def has(self, fqdn: str) -> bool:
        """Whether the name lies in the zone."""
        return _parsed(fqdn).is_subdomain(dns.name.from_text(self.zone))

    def resolve(self, fqdn: str) -> Resolved:
        """Where the zone leads a name."""
        name, records = self._name(fqdn, TYPES[0]), []
        for rdtype in TYPES:
            answer = self._answered(name, rdtype)
            aliases = {rrset.name: rrset[0].target for rrset in answer.answer if rrset.rdtype == dns.rdatatype.CNAME}
            owner = name
            while owner in aliases:
                owner = aliases.pop(owner)
            for rrset in answer.answer:
                if rrset.name == owner and rrset.rdtype == dns.rdatatype.from_text(rdtype):
                    records += [(rdtype, record.to_text(), rrset.ttl) for record in rrset]
        return Resolved(owner.to_text(omit_final_dot=True).lower(), tuple(records))

    def mail_hosts(self, domain: str) -> list[str]:
        """The hosts that take the domain's mail, by its MX records: none when it has none."""
        answer = self._answered(self._name(domain, TYPES[0]), "MX")
        return sorted(
            record.exchange.to_text(omit_final_dot=True).lower()
            for rrset in answer.answer
            if rrset.rdtype == dns.rdatatype.MX
            for record in rrset
        )

    def senders(self, domain: str) -> str | None:
        """The domain's SPF record: who may send mail in its name. None when it has none."""
        answer = self._answered(self._name(domain, TYPES[0]), "TXT")
        texts = [
            b"".join(record.strings).decode("utf-8", "replace")
            for rrset in answer.answer
            if rrset.rdtype == dns.rdatatype.TXT
            for record in rrset
        ]
        return next((text for text in texts if text.lower().split()[:1] == ["v=spf1"]), None)

    def point(self, fqdn: str, rdtype: str, old: str | None, new: str | None, ttl: int) -> bool:
        """Let a name that holds `old` (None: nothing) hold `new` (None: nothing), with this TTL in seconds.

        Returns whether anything changed: a name that already holds `new` is left alone.
        Raises NameChanged if it holds something else; then nothing has changed.
        """
        name = self._name(fqdn, rdtype)
        old, new = _address(old, rdtype), _address(new, rdtype)
        if not 0 < ttl <= 604_800:
            raise NameServerFailed(f"A TTL of {ttl} s is not usable: give 1 to 604800.")
        held, held_ttl = self._held(name, rdtype)
        if held == new and held_ttl in (None, ttl):
            return False
        expected = new if held == new else old  # a new TTL alone is a change as well
        keyring = {dns.name.from_text(self.key_name): dns.tsig.Key(self.key_name, self.secret, self.algorithm)}
        update = dns.update.UpdateMessage(self.zone, keyring=keyring)
        if expected is None:
            update.absent(name, rdtype)
        else:
            update.present(name, rdtype, expected)
        update.delete(name, rdtype)
        if new is not None:
            update.add(name, ttl, rdtype, new)
        code = self._ask(update).rcode()
        if code == dns.rcode.NOERROR:
            return True
        if code in (dns.rcode.NXRRSET, dns.rcode.YXRRSET, dns.rcode.NXDOMAIN, dns.rcode.YXDOMAIN):
            now = self.current(fqdn, rdtype)
            if now == new:
                return False
            if now == expected:
                raise NameChanged(
                    f"{fqdn} {rdtype} has no record of its own but a wildcard's: give it one, and repeat."
                )
            raise NameChanged(
                f"{fqdn} {rdtype} holds {now or 'nothing'}, not {old or 'nothing'}: "
                "see who changed it, correct it, and repeat."
            )
        raise NameServerFailed(
            f"{self.server} refused to point {fqdn} at {new or 'nothing'} ({dns.rcode.to_text(code)}): "
            f"is it primary for {self.zone}, and may the key {self.key_name} update it?"
        )

    def _name(self, fqdn: str, rdtype: str) -> dns.name.Name:
        if rdtype not in TYPES:
            raise NameServerFailed(f"Records of type {rdtype!r} are not pointed: use {' or '.join(TYPES)}.")
        if not self.has(fqdn):
            raise NotInZone(f"{fqdn} is outside the zone {self.zone}: its names are kept elsewhere.")
        return _parsed(fqdn)

    def _held(self, name: dns.name.Name, rdtype: str) -> tuple[str | None, int | None]:
        """What a name holds, and its TTL."""
        answer = self._answered(name, rdtype)
        records = answer.get_rrset(dns.message.ANSWER, name, dns.rdataclass.IN, dns.rdatatype.from_text(rdtype))
        if records is None:
            return None, None
        if len(records) > 1:
            values = ", ".join(sorted(record.to_text() for record in records))
            raise NameChanged(f"{name} holds {len(records)} addresses ({values}): leave it one.")
        return records[0].to_text(), records.ttl

    def _answered(self, name: dns.name.Name, rdtype: str) -> dns.message.Message:
        answer = self._ask(dns.message.make_query(name, rdtype))
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise NameServerFailed(f"{self.server} answers {dns.rcode.to_text(answer.rcode())} for {name}.")
        return answer

    def _ask(self, message: dns.message.Message) -> dns.message.Message:
        try:
            return dns.query.tcp(message, self.server, timeout=self.timeout)
        except (dns.exception.DNSException, OSError, EOFError) as error:
            raise NameServerFailed(
                f"The name server {self.server} gave no usable answer ({type(error).__name__}: {error}): "
                "is it up and reached from here, and is the key right?"
            ) from None


def _parsed(fqdn: str) -> dns.name.Name:
    try:
        return dns.name.from_text(fqdn)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise NameServerFailed(f"{fqdn!r} is no domain name ({error}): correct it.") from None


def _address(value: str | None, rdtype: str) -> str | None:
    if value is None:
        return None
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        raise NameServerFailed(f"{value!r} is no IP address: correct it.") from None
    if address.version != (4 if rdtype == "A" else 6):
        raise NameServerFailed(f"{value} cannot be held by a record of type {rdtype}.")
    return str(address)
