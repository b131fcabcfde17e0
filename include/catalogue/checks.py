"""The kinds of checks that the agent knows, and what each wants to be told. A kind that is not here is a mistake in
the catalogue; one that is here and not in the agent is a mistake in the agent."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from include.catalogue.reading import CatalogueError, Place

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\\-]{0,127}")
SQL = ("postgresql", "mariadb")
"""The engines whose definitions are text that a check can read."""


@dataclass(frozen=True)
class Kind:
    """`arguments` of the check, each with what reads it; `any_of`: one of them is enough, otherwise all are needed."""

    arguments: Mapping[str, Callable[[Place], Any]]
    any_of: bool = False


def names(place: Place) -> list[str]:
    """A list of names, at least one, none twice."""
    names: list[str] = []
    for item in place.items():
        name = item.text()
        if not NAME.fullmatch(name):
            raise item.wrong(f"{name!r} is no name: write letters, digits, _ . and - only")
        if name in names:
            raise item.wrong(f"{name!r} stands here twice: remove one")
        names.append(name)
    return names


def engine(place: Place) -> str:
    """The engine whose definitions are read."""
    return place.one_of(SQL)


def patterns(place: Place) -> list[dict[str, str]]:
    """Regular expressions, each with a customer's word for what it finds."""
    patterns = []
    for item in place.items():
        fields = item.fields({"pattern", "what"}, required={"pattern", "what"})
        pattern = fields["pattern"].text()
        try:
            if re.compile(pattern).match(""):
                raise fields["pattern"].wrong("this pattern fits everything, even nothing: say what it looks for")
        except re.error as error:
            raise fields["pattern"].wrong(f"this is no regular expression ({error}): correct it") from error
        patterns.append({"pattern": pattern, "what": fields["what"].text()})
    return patterns


KINDS: Mapping[str, Kind] = {
    "php_lint": Kind({}),
    "php_functions": Kind({"functions": names}),
    "php_extensions": Kind({"extensions": names}),
    "php_settings": Kind({"settings": names}),
    "php_declares": Kind({"functions": names, "classes": names}, any_of=True),
    "php_time_zones": Kind({}),
    "programs": Kind({}),
    "sql_text": Kind({"engine": engine, "patterns": patterns}),
    "mariadb_variables": Kind({"variables": names}),
    "mariadb_names": Kind({"words": names}),
    "mariadb_functions": Kind({"words": names}),
    "mariadb_sql_mode": Kind({}),
    "mariadb_snapshot_isolation": Kind({}),
    "mariadb_charset": Kind({"charsets": names, "collations": names}, any_of=True),
    "postgresql_extensions": Kind({"removed": names}),
    "postgresql_types": Kind({"types": names}),
    "postgresql_settings": Kind({"settings": names}),
    "postgresql_collations": Kind({}),
    "postgresql_time_zones": Kind({}),
    "old_addresses": Kind({}),
    "virtualenvs": Kind({}),
    "python_modules": Kind({"modules": names}),
}


def arguments(place: Place) -> tuple[str, dict[str, Any]]:
    """Kind and arguments of the check at `place`. Raises `CatalogueError`."""
    name = place.field("kind").one_of(KINDS)
    kind = KINDS[name]
    needed = {"kind"} if kind.any_of else {"kind", *kind.arguments}
    fields = place.fields({"kind", *kind.arguments}, required=needed)
    given = {argument: read(fields[argument]) for argument, read in kind.arguments.items() if argument in fields}
    if kind.any_of and not given:
        raise place.wrong(f"{name} needs something to look for: give {' or '.join(kind.arguments)}")
    return name, given


__all__ = ["KINDS", "CatalogueError", "Kind", "arguments"]
