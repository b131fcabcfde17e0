"""The catalogue's files: which keys an entry has, and what must be true of them together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from include import registry
from include.catalogue import checks, infrastructures
from include.catalogue.entries import SEVERITIES, Check, Entry, Incompatibility
from include.catalogue.reading import CatalogueError, Place, read
from include.registry.kinds import ENTRY_KINDS, INFRASTRUCTURE

FOLDER = Path(__file__).parents[2] / "config" / "migrations"

NAME = re.compile(r"[a-z][a-z0-9.-]{0,62}")
ID = re.compile(r"[a-z][a-z0-9-]{0,62}")
VERSION = re.compile(r"(\d+(?:\.\d+)*)(-[a-z]+)?")
"""Numbers; an infrastructure may have a word behind them ("2022-classic")."""
KEYS = {
    *("title", "kind", "from", "to", "mandatory", "opens", "deadline"),
    *("page", "includes", "incompatibilities"),
}
REQUIRED = {"title", "kind", "from", "to", "mandatory", "page"}
PARTS = {"id", "title", "explanation", "fix", "severity", "check"}


@dataclass(frozen=True)
class _File:
    """One file as it stands alone: its own entry, where it leads to, and which entries it includes."""

    entry: Entry
    leads_to: Place
    includes: Mapping[str, Place]


def load(folder: Path = FOLDER) -> dict[str, Entry]:
    """Every entry by its name. Raises `CatalogueError` with file, line and a sentence for the first thing that is
    wrong."""
    files = {path.stem: _file(path) for path in sorted(folder.glob("*.yaml"))}
    for file in files.values():
        _keeps_the_layout(file)
    return {name: replace(file.entry, incompatibilities=_all_of(name, files)) for name, file in files.items()}


def take_over(conn: psycopg.Connection) -> dict[str, Entry]:
    """Every entry by its name; what changed in the files becomes a fact of the registry."""
    entries = load()
    registry.sync_catalogue(conn, entries.values())
    return entries


def _file(path: Path) -> _File:
    if not NAME.fullmatch(path.stem):
        raise CatalogueError(f"{path.name}:1: the file's name is the entry's: use small letters, digits, . and - only.")
    fields = read(path).fields(KEYS, REQUIRED)
    incompatibilities: list[Incompatibility] = []
    ids: set[str] = set()
    for place in fields["incompatibilities"].items() if "incompatibilities" in fields else ():
        incompatibility = _incompatibility(place)
        if incompatibility.id in ids:
            raise place.field("id").wrong(f"the id {incompatibility.id!r} is there twice: give one of them another")
        incompatibilities.append(incompatibility)
        ids.add(incompatibility.id)
    from_version, to_version = _versions(fields["from"], fields["to"])
    entry = Entry(
        name=path.stem,
        title=fields["title"].text(),
        kind=fields["kind"].one_of(ENTRY_KINDS),
        from_version=from_version,
        to_version=to_version,
        page=fields["page"].text(),
        mandatory=fields["mandatory"].yes_or_no(),
        opens=fields["opens"].day() if "opens" in fields else None,
        deadline=fields["deadline"].day() if "deadline" in fields else None,
        incompatibilities=tuple(incompatibilities),
    )
    _dates(entry, fields)
    return _File(entry, fields["to"], _includes(fields.get("includes")))


def _versions(old: Place, new: Place) -> tuple[str, str]:
    numbers = [_number(place) for place in (old, new)]
    if numbers[1] <= numbers[0]:
        raise new.wrong(f"{new.text()} does not come after {old.text()}: a migration goes to a newer version")
    return old.text(), new.text()


def _number(version: Place) -> tuple[int, ...]:
    match = VERSION.fullmatch(version.text())
    if not match:
        raise version.wrong(f"{version.text()!r} is no version: write numbers with points between, such as 10.11")
    return tuple(int(part) for part in match[1].split("."))


def _keeps_the_layout(file: _File) -> None:
    """An account's parts have their places by the layout, so it goes to no other one."""
    declared, entry = infrastructures.load(), file.entry
    old, new = (declared.get(version) for version in (entry.from_version, entry.to_version))
    if entry.kind == INFRASTRUCTURE and old and new and old.layout != new.layout:
        raise file.leads_to.wrong(
            f"infrastructure {new.name} has the layout {new.layout}, and {old.name} has {old.layout}: lead to one of"
            " the same layout"
        )


def _dates(entry: Entry, fields: Mapping[str, Place]) -> None:
    if entry.mandatory and entry.deadline is None:
        raise fields["mandatory"].wrong("a mandatory migration needs a deadline: add it")
    if entry.opens and entry.deadline and entry.deadline < entry.opens:
        raise fields["deadline"].wrong(f"the deadline is before the opening, {entry.opens}: correct one of them")


def _incompatibility(place: Place) -> Incompatibility:
    fields = place.fields(PARTS, PARTS - {"check"})
    name = fields["id"].text()
    if not ID.fullmatch(name):
        raise fields["id"].wrong(f"{name!r} is no id: use small letters, digits and - only")
    return Incompatibility(
        id=name,
        title=fields["title"].text(),
        explanation=fields["explanation"].text(),
        fix=fields["fix"].text(),
        severity=fields["severity"].one_of(SEVERITIES),
        check=Check(*checks.arguments(fields["check"])) if "check" in fields else None,
    )


def _includes(place: Place | None) -> dict[str, Place]:
    places: dict[str, Place] = {}
    for item in place.items() if place else ():
        if item.text() in places:
            raise item.wrong(f"{item.text()!r} is included twice: remove one")
        places[item.text()] = item
    return places


def _all_of(entry: str, files: Mapping[str, _File], within: tuple[str, ...] = ()) -> tuple[Incompatibility, ...]:
    """The incompatibilities of an entry, and behind them those of what it includes."""
    incompatibilities = list(files[entry].entry.incompatibilities)
    for name, place in files[entry].includes.items():
        if name not in files:
            raise place.wrong(f"there is no entry {name!r}: include one of the catalogue's")
        if name in (*within, entry):
            raise place.wrong(f"{name!r} includes itself in the end: take it out here")
        included = _all_of(name, files, (*within, entry))
        incompatibilities += _added(incompatibilities, included, place, name)
    return tuple(incompatibilities)


def _added(
    own: Iterable[Incompatibility], added: Iterable[Incompatibility], place: Place, name: str
) -> tuple[Incompatibility, ...]:
    taken = {incompatibility.id for incompatibility in own}
    for incompatibility in added:
        if incompatibility.id in taken:
            raise place.wrong(f"{name!r} has the id {incompatibility.id!r} too: give one of them another")
    return tuple(added)
