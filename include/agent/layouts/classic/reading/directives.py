"""A directive of a web server's configuration, and what stands inside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .tree import Place


@dataclass(frozen=True)
class Directive:
    """`name` is in lower case; `inside` what its section or braces hold."""

    name: str
    args: tuple[str, ...]
    place: Place
    inside: tuple[Directive, ...] = ()

    @property
    def first(self) -> str:
        return self.args[0] if self.args else ""

    def all(self, *names: str) -> Iterator[Directive]:
        """Those of these names right inside it."""
        return (directive for directive in self.inside if directive.name in names)


def everything(directives: tuple[Directive, ...]) -> Iterator[Directive]:
    """Each directive with all that is inside it, in the order of the text."""
    waiting = [*reversed(directives)]
    while waiting:
        directive = waiting.pop()
        yield directive
        waiting += reversed(directive.inside)
