"""A document out of what another tool knows of servers: what it does not know is named, never guessed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from include.agent.host.digest import printable
from include.inventory.document import Plan, Server
from include.registry.database import names
from include.registry.kinds import ONE_CUSTOMERS

PREFIX = "transhumance_"
"""A variable or custom field that begins so is the field of a server that the rest names: transhumance_plan."""


@dataclass
class Listed:
    """A server as another tool lists it: `fields` are the document's, with what the tool calls each."""

    name: str
    fields: dict[str, tuple[Any, str]] = field(default_factory=dict)

    def take(self, variables: Mapping[Any, Any]) -> None:
        """The tool's own variables, of which those count that are meant for this."""
        for variable, value in variables.items():
            if str(variable).startswith(PREFIX) and value not in (None, ""):
                self.fields[str(variable).removeprefix(PREFIX)] = (value, str(variable))

    def say(self, name: str, value: Any, called: str) -> None:
        """A field that the tool has under a name of its own; a variable that is meant for it goes before."""
        if value not in (None, ""):
            self.fields.setdefault(name, (value, called))


def draft(listed: Iterable[Listed], left_out: Iterable[str] = ()) -> str:
    """The document, with a comment on each thing that has to be filled in or looked at."""
    comments, servers = list(left_out), []
    listed = sorted(listed, key=lambda each: each.name)
    short = Counter(each.name.partition(".")[0] for each in listed)
    for each in listed:
        name = each.name
        if "." in name and short[name.partition(".")[0]] == 1:
            name = name.partition(".")[0]
            comments.append(f"{each.name} is {name} here.")
        server: dict[str, Any] = {"name": name}
        comments += [f"{each.name}: {sentence}" for sentence in _fill(server, each)]
        servers.append({field: server[field] for field in Server.model_fields if field in server})
    used = {
        section: sorted({server[field] for server in servers if field in server})
        for section, field in (("sites", "site"), ("plans", "plan"), ("customers", "customer"))
    }
    comments += [f"Plan {plan}: fill in {names(_needed(Plan, {'name'}))}." for plan in used["plans"]]
    document: dict[str, Any] = {
        section: [{"name": name} for name in known_names] for section, known_names in used.items()
    }
    document["servers"] = servers
    head = "".join(f"# {printable(comment)}\n" for comment in comments)
    return head + yaml.safe_dump(
        {section: parts for section, parts in document.items() if parts},
        sort_keys=False,
        allow_unicode=True,
        width=1000,
    )


def _needed(part: type[Plan] | type[Server], filled: Iterable[str]) -> list[str]:
    return [name for name, info in part.model_fields.items() if info.is_required() and name not in set(filled)]


def _fill(server: dict[str, Any], listed: Listed) -> Iterator[str]:
    """Put what is listed into the server; a sentence on each thing that is not, or cannot be used."""
    if wrong := _wrong("name", server["name"]):
        yield f"its name {wrong}."
    for name, (value, called) in listed.fields.items():
        value = _text(name, value)
        if name not in Server.model_fields or name == "name":
            yield f"{called} is no field of a server: it is left out."
        elif "{{" in str(value):
            yield f"{called} is a template ({value}): write its value as {name}."
        elif wrong := _wrong(name, value):
            yield f"{called} ({value}) {wrong}."
        else:
            server[name] = value
    if server.get("kind") not in (None, *ONE_CUSTOMERS) and "customer" in server:
        customer, (_, called) = server.pop("customer"), listed.fields["customer"]
        yield f"{called} ({customer}) is left out: a {server['kind']} server is no one customer's."
    needed = _needed(Server, server)
    if server.get("kind") in ONE_CUSTOMERS and "customer" not in server:
        needed.append("customer")
    if needed:
        yield f"fill in {names(needed)}."


def _text(name: str, value: Any) -> Any:
    """As a document has it: texts, and a list of them where addresses are several."""
    if name == "service_addresses":
        parts = value if isinstance(value, list) else re.split(r"[,\s]+", str(value).strip())
        return [str(part) for part in parts]
    return str(value)


def _wrong(name: str, value: Any) -> str | None:
    try:
        _adapter(name).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return str(first["ctx"]["error"]) if first["type"] == "value_error" else "cannot be used: correct it"
    return None


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(get_type_hints(Server, include_extras=True)[name])
