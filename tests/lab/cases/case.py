"""One input file, read: who does what on the source, what is asked on both sides, and what is right."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

INPUTS = Path(__file__).parent / "inputs"
_BLOCK = re.compile(r"^(?:--|#)@ (?P<what>.+)$", re.M)
_HEADER = re.compile(r"^(?:--|#|//) (?P<key>[A-Z][A-Z ]*): (?P<value>.*)$", re.M)


@dataclass(frozen=True)
class Step:
    """Something that is done or asked. `who`: root, or a login of the account's (`acct`, `shop` ...)."""

    who: str
    text: str


@dataclass(frozen=True)
class Case:
    """An input whose names are its own: `acct` of the file is `acct` and the case's number here."""

    number: str
    title: str
    engine: str
    databases: tuple[str, ...]
    roles: tuple[str, ...]
    made_with: str
    fill: tuple[Step, ...]
    meanwhile: tuple[Step, ...]
    checks: tuple[Step, ...]
    right: str
    expect: str

    @property
    def asking_writes(self) -> bool:
        """Whether the question changes what it asks about."""
        text = " ".join(step.text for step in self.checks)
        if self.engine == "files" or self.expect == "(as before)":
            return False
        return re.search(r"\b(INSERT|UPDATE|DELETE|CREATE|DROP)\b", text) is not None

    @property
    def login(self) -> str:
        """The account's own role, user or Unix user in this case."""
        return f"acct{self.number}"


def read(path: Path) -> Case:
    """The case in an input file of SQL or shell commands."""
    number = path.name.split("-", 1)[0].lower()
    text = path.read_text(errors="surrogateescape")
    head, *parts = _BLOCK.split(text)
    header = {found["key"]: found["value"].strip() for found in _HEADER.finditer(head)}
    engine = header["ENGINE"].split()[0].rstrip(",;")
    logins = [word.partition("@")[0] for word in (header.get("USERS") or header.get("ROLES") or "acct").split()]

    def own(words: str) -> str:
        """With the case's number behind every login, so that many cases can stand on one server."""
        return re.sub(rf"\b({'|'.join(sorted({'acct', *logins}))})(?=\b|_)", rf"\g<1>{number}", words)

    blocks = [(parts[at].strip(), own(parts[at + 1]).strip("\n")) for at in range(0, len(parts), 2)]

    def steps(*kinds: str) -> tuple[Step, ...]:
        return tuple(Step(_who(what, own), body) for what, body in blocks if what.split()[0] in kinds)

    return Case(
        number=number,
        title=(header.get("CASE") or header.get("LAB") or f"{number}: {path.stem}").partition(": ")[2],
        engine=engine if engine in ("postgres", "mariadb") else "files",
        databases=tuple(own(name) for name in header.get("DATABASES", "acct_db").split()),
        roles=tuple(own(name) for name in logins),
        made_with=header.get("CREATE DATABASE WITH", ""),
        fill=steps("root", "account"),
        meanwhile=steps("meanwhile"),
        checks=steps("check"),
        right=header.get("RIGHT", ""),
        expect="\n".join(body for what, body in blocks if what == "expect"),
    )


def _who(what: str, own: Callable[[str], str]) -> str:
    """Who does a block: `root`, `root after`, `account`, `check`, `check as shop` ..."""
    named = re.search(r"\bas (\w+)", what)
    if what.split()[0] == "root" or (named and named[1] == "root"):
        return "root"
    return own(named[1] if named else "acct")


def find(number: str) -> Case:
    """The case of this number, as its file's name begins."""
    found = [path for path in INPUTS.iterdir() if path.name.lower().split("-", 1)[0] == number.lower()]
    if len(found) != 1:
        raise LookupError(f"There is no input {number!r}: the names in {INPUTS} begin with the numbers.")
    return read(found[0])


def numbers(*suffixes: str) -> list[str]:
    """The numbers of all inputs whose files end so."""
    return sorted(path.name.split("-", 1)[0].lower() for path in INPUTS.iterdir() if path.suffix in suffixes)
