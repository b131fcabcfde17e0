"""JSON from and to dataclasses: the types of their fields say what is taken.

A field's type is enough where it has bounds of its own (a flag, a number); `Annotated` gives those of the others: a
shape, or how many a list or an object may hold. A field with a default may be missing; what has no field is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from . import shapes
from .shapes import Shape, Strange


@dataclass(frozen=True)
class Most:
    """How many a list, or an object with any names, may hold; an object's names may have a shape."""

    count: int
    name: Shape | None = None


def decode(kind: Any, value: Any) -> Any:
    """What JSON says, as this type; Strange, with the place, where it is not."""
    return shape_of(kind)(value)


def encode(value: Any) -> str:
    """A dataclass, or what holds some, as JSON."""
    return json.dumps(value, default=_fields_of)


def plain(value: Any) -> Any:
    """The same as JSON's own kinds."""
    return json.loads(encode(value))


def _fields_of(value: Any) -> dict[str, Any]:
    """What is as it would be if it were missing is not said."""
    if not is_dataclass(value):
        raise TypeError(f"{type(value).__name__} is nothing for JSON")
    values = ((field, getattr(value, field.name)) for field in fields(value))
    return {field.name: part for field, part in values if field.default is MISSING or part is not field.default}


@cache
def shape_of(kind: Any) -> Shape:
    """How a value of this type is taken apart."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        bound = inner[1]
        return _bounded(inner[0], bound) if isinstance(bound, Most) else cast(Shape, bound)
    if origin in (Union, UnionType):
        (actual,) = (member for member in inner if member is not NoneType)
        return shapes.maybe(shape_of(actual))
    if origin is Literal:
        return shapes.one_of(*inner)
    if origin is tuple:
        return _as_tuple(shapes.row(*map(shape_of, inner)))
    if isinstance(kind, type) and is_dataclass(kind):
        return _record(kind)
    if kind in _OWN_BOUNDS:
        return _OWN_BOUNDS[kind]
    raise TypeError(f"{kind} has no bounds: annotate it with a shape, or with Most")


_OWN_BOUNDS: dict[Any, Shape] = {
    bool: shapes.flag,
    int: shapes.whole(),
    float: shapes.number(),
    Any: shapes.tree(),
}


def _bounded(kind: Any, most: Most) -> Shape:
    inner, origin = get_args(kind), get_origin(kind)
    if origin is dict:
        return shapes.named(shape_of(inner[1]), most.count, most.name)
    several = shapes.each(shape_of(inner[0]), most.count)
    return _as_tuple(several) if origin is tuple else several


def _as_tuple(several: Shape) -> Shape:
    return lambda value: tuple(several(value))


def _record(kind: type) -> Shape:
    """An object whose names are the fields of a dataclass."""
    hints = get_type_hints(kind, include_extras=True)
    inner = {field.name: shape_of(hints[field.name]) for field in fields(cast(Any, kind))}
    needed = {
        field.name for field in fields(cast(Any, kind)) if field.default is MISSING and field.default_factory is MISSING
    }
    make = cast(Callable[..., Any], kind)

    def shape(value: Any) -> Any:
        if not isinstance(value, dict):
            raise Strange(": an object was expected")
        # One that is missing is shown to its shape all the same, which says what was expected there.
        present = [name for name in inner if name in value or name in needed]
        parts = shapes.parts(((name, value.get(name)) for name in present), inner.__getitem__, ".{}")
        if missing := next((name for name in present if name not in value), None):
            raise Strange(f".{missing}: it is missing")
        return make(**dict(zip(present, parts, strict=True)))

    return shape
