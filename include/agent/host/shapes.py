"""What a server was told by another, taken apart: kinds, ranges and lengths. What has no place in it is left out.

A shape takes a value and gives what may be used of it, or raises Strange. Nothing that another server says is looked
at before it went through one: that server may have been taken over.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from .digest import printable

Shape = Callable[[Any], Any]
_WORD = 1 << 64
_SUM = 1 << 128
"""Sums of words: a digest's."""
_DEEPEST = 32


class Strange(ValueError):
    """A value that is not of its shape: where it stands, and what was expected there."""


def parsed(data: bytes) -> Any:
    """What JSON says; Strange when it is none, or has numbers that are none."""
    try:
        return json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Strange(": JSON was expected") from None


def _no_number(_text: str) -> NoReturn:
    raise ValueError("not a number")


def whole(least: int = 0, most: int = _WORD) -> Shape:
    """A whole number."""

    def shape(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise Strange(f": a whole number from {least} to {most} was expected")
        return value

    return shape


def number(most: float = 1e12, least: float = 0) -> Shape:
    """A number that is not negative."""

    def shape(value: Any) -> float:
        if type(value) not in (int, float) or not least <= value <= most:
            raise Strange(f": a number from {least:g} to {most:g} was expected")
        checked: float = value  # a whole number stays one
        return checked

    return shape


def flag(value: Any) -> bool:
    if type(value) is not bool:
        raise Strange(": true or false was expected")
    return value


def text(most: int, pattern: str | None = None) -> Shape:
    """Text of so many characters at most, all of it like `pattern`. Bytes that are no text come as lone surrogates, as
    Python writes them."""
    like = re.compile(pattern) if pattern else None

    def shape(value: Any) -> str:
        if not isinstance(value, str) or len(value) > most or (like and not like.fullmatch(value)):
            like_what = f" like {pattern!a}" if pattern else ""
            raise Strange(f": text{like_what} of {most} characters at most was expected")
        try:
            value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise Strange(": text was expected") from None
        return value

    return shape


def sentence(most: int = 4000) -> Shape:
    """Text that a person reads: what cannot be printed is shown, and what is too long is cut."""

    def shape(value: Any) -> str:
        if not isinstance(value, str):
            raise Strange(": text was expected")
        return printable(value[:most])

    return shape


def one_of(*words: str) -> Shape:
    def shape(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise Strange(f": one of {', '.join(words)} was expected")
        return value

    return shape


def maybe(inner: Shape) -> Shape:
    """Null, or that."""
    return lambda value: None if value is None else inner(value)


def each(inner: Shape, most: int) -> Shape:
    """A list of so many at most."""

    def shape(value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) > most:
            raise Strange(f": a list of {most} at most was expected")
        return parts(enumerate(value), lambda _: inner, "[{}]")

    return shape


def row(*inner: Shape) -> Shape:
    """A list of just these."""

    def shape(value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) != len(inner):
            raise Strange(f": a list of {len(inner)} was expected")
        return parts(enumerate(value), inner.__getitem__, "[{}]")

    return shape


def named(inner: Shape, most: int = 1_000_000, name: Shape | None = None) -> Shape:
    """An object with any names, or such ones."""
    name = name or text(1000)

    def shape(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or len(value) > most:
            raise Strange(f": an object of {most} names at most was expected")
        names = parts(enumerate(value), lambda _: name, " (a name)")
        return dict(zip(names, parts(value.items(), lambda _: inner, ".{:.40}"), strict=True))

    return shape


def record(inner: Mapping[str, Shape], **more: Shape) -> Shape:
    """An object with these names, and perhaps those of `more`; others are left out."""
    shapes = {**inner, **more}

    def shape(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Strange(": an object was expected")
        for key in inner:
            if key not in value:
                raise Strange(f".{key}: it is missing")
        present = [key for key in shapes if key in value]
        return dict(zip(present, parts(((key, value[key]) for key in present), shapes.__getitem__, ".{}"), strict=True))

    return shape


def holding(inner: Mapping[str, Shape], rest: Shape, **more: Shape) -> Shape:
    """An object with these names, and perhaps those of `more`; whatever else is in it has the other shape."""
    declared, others = record(inner, **more), named(rest)

    def shape(value: Any) -> dict[str, Any]:
        checked = declared(value)
        return {**others({key: part for key, part in value.items() if key not in checked}), **checked}

    return shape


def either(first: Shape, second: Shape) -> Shape:
    """The first of the two that fits."""

    def shape(value: Any) -> Any:
        try:
            return first(value)
        except Strange:
            return second(value)

    return shape


def tree(longest: int = 1 << 20) -> Shape:
    """Anything of JSON that is not too deep: it is compared, or written down, and otherwise looked at part by part."""
    words = text(longest)

    def shape(value: Any, depth: int = 0) -> Any:
        if depth > _DEEPEST:
            raise Strange(f": at most {_DEEPEST} levels were expected")
        if isinstance(value, dict):
            return {words(key): shape(part, depth + 1) for key, part in value.items()}
        if isinstance(value, list):
            return [shape(part, depth + 1) for part in value]
        if isinstance(value, str):
            return words(value)
        if type(value) is int and not -_SUM <= value <= _SUM:
            raise Strange(": a smaller number was expected")
        if isinstance(value, float) and not math.isfinite(value):
            raise Strange(": a number was expected")
        return value

    return shape


def parts(placed: Iterable[tuple[Any, Any]], shape_of: Callable[[Any], Shape], shown: str) -> list[Any]:
    """The parts of a value, each of its shape; what is strange says where it stands."""
    checked = []
    for place, part in placed:
        try:
            checked.append(shape_of(place)(part))
        except Strange as strange:
            raise Strange(f"{printable(shown.format(place))}{strange}") from None
    return checked
