"""Names of time zones that a server does not know: its system keeps the old ones in a package of their own, or not at
all. Looked for on the new server, in the copy of an account's PostgreSQL databases: what names one works until it is
used.
"""

from __future__ import annotations

import re
from pathlib import Path

from .findings import Findings

ZONES = Path("/usr/share/zoneinfo")
_QUOTED = re.compile(r"'([A-Za-z][A-Za-z0-9_+/-]{1,60})'")
_ZONE = re.compile(r"zone|tz|timezone", re.IGNORECASE)


def missing(zones: Path = ZONES) -> dict[str, str]:
    """{old name in small letters: present name} of the zones that are not there."""
    try:
        lines = (zones / "tzdata.zi").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    links = [words for words in (line.split() for line in lines) if len(words) == 3 and words[0] == "L"]
    return {old.lower(): now for _, now, old in links if not (zones / old).exists()}


def in_text(text: str, zones: dict[str, str]) -> dict[str, str]:
    """{name: present name} of what a text of SQL writes as a string. A plain word (Japan) may be anything: it counts
    where the text speaks of time zones."""
    plain = _ZONE.search(text) is not None
    names = {name for name in _QUOTED.findall(text) if plain or "/" in name}
    return {name: zones[name.lower()] for name in sorted(names) if name.lower() in zones}


class ZoneRows:
    """Takes rows as COPY puts them out, and notes where a column's whole value is such a name."""

    def __init__(
        self, check: str, where: list[str], columns: list[str], zones: dict[str, str], findings: Findings
    ) -> None:
        self.check, self.where, self.zones, self.findings = check, where, zones, findings
        self.plain = [_ZONE.search(column) is not None for column in columns]

    def row(self, line: bytes) -> None:
        """One row, its columns parted by tabs."""
        for where, plain, value in zip(self.where, self.plain, line.split(b"\t"), strict=True):
            if len(value) > 60 or not (plain or b"/" in value):
                continue
            name = value.decode("utf-8", "replace")
            if now := self.zones.get(name.lower()):
                self.findings.add(self.check, where, sentence(name, now))


def sentence(name: str, now: str) -> str:
    """What is wrong with a name."""
    return f"names the time zone {name}, which is {now} on the new server"
