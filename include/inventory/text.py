"""The document as YAML (or JSON, which is YAML): read with the place of whatever is wrong in it, and written.

It comes from people and from other tools' exports, so it is bounded, and nothing in it is more than texts, lists and
fields: no aliases, no tags, no key twice. Every value is read as it is written ("2022" and 11.10 are texts).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from pydantic import ValidationError

from include.agent.host.digest import printable
from include.inventory.contradictions import Place, contradictions
from include.inventory.document import Inventory
from include.registry.database import RegistryRefused

MAX_CHARACTERS = 2 << 20
MAX_DEPTH = 8
MAX_FOREIGN, MAX_FOREIGN_DEPTH = 64 << 20, 64
NOTHING = ("", "~", "null", "Null", "NULL")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NO_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What YAML refuses as a character."""

_SENTENCES = {
    "missing": "is missing: add it",
    "extra_forbidden": "is not known here: remove it, or correct its name",
    "tuple_type": "is no list: write one item a line, each after '- '",
    "model_type": "has no fields: write 'name: value' lines",
    "too_short": "is empty: add one at least",
}


class InventoryError(RegistryRefused):
    """A document that cannot be used: one sentence, with the line."""


def _wrong(line: int, sentence: str) -> InventoryError:
    return InventoryError(f"Line {line}: {sentence}.")


def read(text: str) -> Inventory:
    """The document. Raises InventoryError for the first thing that is wrong in it."""
    if len(text) > MAX_CHARACTERS:
        raise InventoryError(f"The inventory has more than {MAX_CHARACTERS:,} characters: is this the right file?")
    written = _written(text)
    value = {} if written.value is None else written.value
    if not isinstance(value, dict):
        raise _wrong(1, "an inventory is sections with a name each, such as 'servers:': write these")
    try:
        document = Inventory.model_validate({name: section for name, section in value.items() if section is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _at_place(written, first["loc"], _sentence(first)) from None
    for place, sentence in contradictions(document):
        raise _at_place(written, place, sentence)
    return document.ordered()


def values(source: str) -> Any:
    """What another tool wrote, as JSON or YAML: texts, lists, mappings and None. It may be longer and deeper than an
    inventory."""
    if len(source) > MAX_FOREIGN:
        raise InventoryError(f"This has more than {MAX_FOREIGN:,} characters: give it in parts.")
    if source.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(source)
        except (ValueError, RecursionError) as error:
            raise InventoryError(f"This is no JSON ({printable(str(error))[:200]}): make it again.") from None
    return _written(source, MAX_FOREIGN_DEPTH).value


def write(document: Inventory) -> str:
    """The document as YAML."""
    return yaml.safe_dump(plain(document), sort_keys=False, allow_unicode=True, width=1000)


def plain(document: Inventory) -> dict[str, Any]:
    """The document as plain values, without what is left out."""
    values = document.ordered().model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {section: values[section] for section in Inventory.model_fields if section in values}


def schema() -> str:
    """The document's JSON schema."""
    made = Inventory.model_json_schema(by_alias=True)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Transhumance: a host's inventory"}
    return json.dumps(head | {key: value for key, value in made.items() if key != "title"}, indent=1) + "\n"


def _sentence(error: Any) -> str:
    if error["type"] in _SENTENCES:
        return _SENTENCES[error["type"]]
    if error["type"] == "enum":
        return f"is not known: use {error['ctx']['expected'].replace(chr(39), '')}"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    return f"cannot be read ({error['msg'][:200]}): correct it"


def _at_place(written: _Written, place: Place, sentence: str) -> InventoryError:
    """The sentence, with the line and the name of what is there."""
    line = next(
        (written.lines[place[:length]] for length in range(len(place), 0, -1) if place[:length] in written.lines), 1
    )
    return _wrong(line, f"{_subject(written.value, place)} {sentence}")


def _subject(value: Any, place: Place) -> str:
    """ "server vps-1, plan": what is at a place, by its name where it has one."""
    words = []
    for step in place:
        value = _inside(value, step)
        if isinstance(step, str):
            words.append(printable(step))
        elif isinstance(value, dict) and isinstance(value.get("name"), str) and words:
            words[-1] = f"{words[-1].removesuffix('s')} {printable(value['name'])[:64]}"
        else:
            words.append(f"no. {step + 1}")
    return ", ".join(words)


def _inside(value: Any, step: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    return value[step] if isinstance(value, list) and isinstance(step, int) and step < len(value) else None


@dataclass
class _Written:
    """What was written (texts, lists, mappings, None), and on which line the value at each place begins."""

    value: Any = None
    lines: dict[Place, int] = field(default_factory=dict)


@dataclass
class _Open:
    """A list or mapping that has not ended; `key`: the mapping's key whose value comes next."""

    items: list[Any] | dict[str, Any]
    place: Place
    key: str | None = None


def _written(text: str, max_depth: int = MAX_DEPTH) -> _Written:
    if strange := _NO_TEXT.search(text):
        line = text.count("\n", 0, strange.start()) + 1
        raise _wrong(line, "a character that a text file does not have is here: remove it")
    try:
        return _built(text, max_depth)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, problem = (mark.line + 1 if mark else 1), printable(str(error.problem))[:200]
        raise _wrong(line, f"this is no YAML ({problem}): correct it") from None


def _built(text: str, max_depth: int) -> _Written:
    """By the parser's events, one after the other: whatever is written, nothing of it is followed or nested deeply."""
    made = _Written()
    stack: list[_Open] = []
    documents = 0
    events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _wrong(line, "a second document begins here: write one only")
        elif isinstance(event, yaml.AliasEvent):
            raise _wrong(line, "an alias ('*') is here: write the value itself")
        elif isinstance(event, yaml.CollectionEndEvent):
            stack.pop()
        elif isinstance(event, yaml.NodeEvent):
            _refuse_unusual(event, line)
            if len(stack) >= max_depth:
                raise _wrong(line, f"this is nested more than {max_depth} deep: correct it")
            _put(made, stack, event, line)
    return made


def _refuse_unusual(event: Any, line: int) -> None:
    if event.anchor is not None:
        raise _wrong(line, "an anchor ('&') is here: remove it")
    if event.tag is not None:
        raise _wrong(line, "a tag ('!') is here: remove it, and write the value in quotes where YAML asks for it")


def _put(made: _Written, stack: list[_Open], event: Any, line: int) -> None:
    """Put a value where it belongs: as a key of the mapping that is open, or as what comes next."""
    parent = stack[-1] if stack else None
    if parent is not None and isinstance(parent.items, dict) and parent.key is None:
        if not isinstance(event, yaml.ScalarEvent):
            raise _wrong(line, "this is no field's name: write 'name: value' lines")
        if event.value in parent.items:
            raise _wrong(line, f"{printable(event.value)[:64]} is here twice: remove one")
        parent.key = event.value
        made.lines[*parent.place, parent.key] = line
        return
    if isinstance(event, yaml.ScalarEvent):
        value: Any = None if event.implicit[0] and event.value in NOTHING else event.value
    else:
        value = [] if isinstance(event, yaml.SequenceStartEvent) else {}
    place: Place = ()
    if parent is None:
        made.value = value
    elif isinstance(parent.items, dict):
        place = (*parent.place, parent.key or "")
        parent.items[parent.key or ""], parent.key = value, None
    else:
        place = (*parent.place, len(parent.items))
        parent.items.append(value)
    made.lines.setdefault(place, line)
    if not isinstance(event, yaml.ScalarEvent):
        stack.append(_Open(value, place))
