"""YAML with places: every value knows the file and the line that it was written in, so that what is wrong with it can
be told in one sentence. Nothing but plain values is read: no anchors' tags, no objects, no key twice."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import yaml

PLAIN = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "timestamp")}


class CatalogueError(Exception):
    """An entry of the catalogue that cannot be used: "file:line: sentence"."""


@dataclass(frozen=True)
class Place:
    """A value of a file, as it was written there. Versions such as 11.10 are therefore texts, never numbers."""

    file: str
    node: yaml.Node

    def wrong(self, sentence: str) -> CatalogueError:
        """The error that says what is wrong with this value, and what to do."""
        return CatalogueError(f"{self.file}:{self.node.start_mark.line + 1}: {sentence}.")

    def text(self) -> str:
        """Text that says something."""
        if isinstance(self.node, yaml.ScalarNode) and not self.node.value.strip():
            raise self.wrong("this is empty: write something here, or leave the line out")
        if not isinstance(self.node, yaml.ScalarNode) or self.node.tag not in PLAIN:
            raise self.wrong("this is no text: write a text here, in quotes where YAML would read something else")
        return self.node.value.strip()

    def one_of(self, choices: Collection[str]) -> str:
        """One of the given words."""
        word = self.text()
        if word not in choices:
            raise self.wrong(f"{word!r} is not known: use {_either(choices)}")
        return word

    def yes_or_no(self) -> bool:
        """`true` or `false`."""
        if not isinstance(self.node, yaml.ScalarNode) or self.node.value not in ("true", "false"):
            raise self.wrong("this is neither true nor false: write one of them")
        return self.node.value == "true"

    def day(self) -> date:
        """A date as YYYY-MM-DD."""
        written = self.text()
        try:
            return date.fromisoformat(written)
        except ValueError as error:
            raise self.wrong(f"{written!r} is no date: write it as 2026-11-30") from error

    def items(self) -> list[Place]:
        """The items of a list that is not empty."""
        if not isinstance(self.node, yaml.SequenceNode) or not self.node.value:
            raise self.wrong("this is no list with something in it: write one item or more")
        return [Place(self.file, item) for item in self.node.value]

    def fields(self, allowed: Collection[str], required: Collection[str] = ()) -> dict[str, Place]:
        """The fields of a mapping: known ones only, each once, all that are required."""
        fields: dict[str, Place] = {}
        for key, value in self._pairs():
            name = key.text()
            if name not in allowed:
                raise key.wrong(f"{name!r} is not known here: use {_either(allowed)}")
            if name in fields:
                raise key.wrong(f"{name!r} stands here twice: remove one")
            fields[name] = value
        for name in sorted(set(required) - set(fields)):
            raise self.wrong(f"{name!r} is missing here: add it")
        return fields

    def field(self, name: str) -> Place:
        """One field of a mapping, whatever else it has."""
        for key, value in self._pairs():
            if key.text() == name:
                return value
        raise self.wrong(f"{name!r} is missing here: add it")

    def _pairs(self) -> Iterator[tuple[Place, Place]]:
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong("this should be fields with values: write 'name: value' lines")
        for key, value in self.node.value:
            yield Place(self.file, key), Place(self.file, value)


def read(path: Path) -> Place:
    """The one document of a file. Raises `CatalogueError` when it is no YAML, or empty."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise CatalogueError(
            f"{path.name}:{mark.line + 1 if mark else 1}: this is no YAML ({error.problem}): correct it."
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise CatalogueError(f"{path.name}:1: this is no YAML in UTF-8: save it as such.") from error
    if node is None:
        raise CatalogueError(f"{path.name}:1: the file is empty: describe the migration, or remove the file.")
    return Place(path.name, node)


def _either(words: Collection[str]) -> str:
    *most, last = sorted(words)
    return f"{', '.join(most)} or {last}" if most else last
