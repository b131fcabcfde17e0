"""An Ansible inventory as a document: what `ansible-inventory --list` prints, or a plain inventory in YAML.

A host is a server; `ansible_host` is its management address, and a variable `transhumance_FIELD`, of the host or of a
group, any other field (`transhumance_kind: shared`). Other variables are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from include.inventory.draft import Listed, draft
from include.inventory.text import InventoryError, values

ASK = "run 'ansible-inventory -i INVENTORY --list' and give what it prints"


@dataclass
class _Groups:
    """Groups with their hosts, children and variables, and the variables of hosts."""

    hosts: dict[str, set[str]] = field(default_factory=dict)
    children: dict[str, set[str]] = field(default_factory=dict)
    variables: dict[str, dict[str, Any]] = field(default_factory=dict)
    of_hosts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, name: str) -> None:
        self.hosts.setdefault(name, set())
        self.children.setdefault(name, set())
        self.variables.setdefault(name, {})

    def depths(self) -> dict[str, int]:
        """How deep each group is: a deeper one's variables go before. Groups that contain themselves are not gone
        round."""
        depths = dict.fromkeys(self.hosts, 0)
        for _ in self.hosts:
            deeper = {
                child: depths[name] + 1
                for name, children in self.children.items()
                for child in children
                if depths.get(child, 0) <= depths[name] < len(self.hosts)
            }
            if not deeper:
                break
            depths |= deeper
        return depths

    def members(self) -> dict[str, set[str]]:
        """The hosts of each group and of the groups below it."""
        members = {name: set(hosts) for name, hosts in self.hosts.items()}
        for _ in self.hosts:
            before = sum(map(len, members.values()))
            for name, children in self.children.items():
                members[name].update(*(members.get(child, set()) for child in children))
            if sum(map(len, members.values())) == before:
                break
        return members


def convert(source: str) -> str:
    """The document, with comments on what has to be filled in. Raises InventoryError."""
    try:
        value = values(source)
    except InventoryError as error:
        raise InventoryError(f"This is neither JSON nor YAML of groups ({str(error).rstrip('.')}): {ASK}.") from None
    if not isinstance(value, dict):
        raise InventoryError(f"This is neither JSON nor YAML of groups: {ASK}.")
    groups = _listed(value) if "_meta" in value else _written(value)
    depths, members = groups.depths(), groups.members()
    hosts = sorted(set(groups.of_hosts).union(*members.values()))
    if not hosts:
        raise InventoryError(f"No host is in it: {ASK}.")
    listed, left_out = [], []
    for host in hosts:
        if "[" in host:
            left_out.append(f"{host} is a range of hosts: {ASK}.")
            continue
        variables: dict[str, Any] = {}
        for name in sorted(depths, key=lambda group: (depths[group], group != "all", group)):
            variables |= groups.variables[name] if host in members[name] or name == "all" else {}
        variables |= groups.of_hosts.get(host, {})
        server = Listed(host)
        server.take(variables)
        server.say("management_address", variables.get("ansible_host"), "ansible_host")
        listed.append(server)
    return draft(listed, left_out)


def _listed(value: dict[str, Any]) -> _Groups:
    """As `ansible-inventory --list` has it."""
    groups = _Groups()
    meta = _fields(value["_meta"])
    groups.of_hosts = {name: _fields(variables) for name, variables in _fields(meta.get("hostvars")).items()}
    for name, group in value.items():
        if name == "_meta":
            continue
        parts = {"hosts": group} if isinstance(group, list) else _fields(group)
        groups.add(name)
        groups.hosts[name] |= {str(host) for host in _list(parts.get("hosts"))}
        groups.children[name] |= {str(child) for child in _list(parts.get("children"))}
        groups.variables[name] |= _fields(parts.get("vars"))
    for child in {child for children in groups.children.values() for child in children}:
        groups.add(child)
    return groups


def _written(value: dict[str, Any]) -> _Groups:
    """As an inventory in YAML has it."""
    groups = _Groups()
    for name, group, below in _walk(value):
        groups.add(name)
        groups.children[name] |= set(below)
        groups.variables[name] |= _fields(group.get("vars"))
        for host, variables in _fields(group.get("hosts")).items():
            groups.hosts[name].add(host)
            groups.of_hosts.setdefault(host, {}).update(_fields(variables))
    return groups


def _walk(value: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
    """Every group with its name and those of its children."""
    for name, written in value.items():
        group = _fields(written)
        if unknown := sorted(group.keys() - {"hosts", "children", "vars"}):
            raise InventoryError(f"Group {name[:64]} has {unknown[0][:64]}, which no group in YAML has: {ASK}.")
        children = _fields(group.get("children"))
        yield name, group, [*children]
        yield from _walk(children)


def _fields(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InventoryError(f"{str(value)[:64]!r} is where groups, hosts or variables should be: {ASK}.")
    return value


def _list(value: Any) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise InventoryError(f"{str(value)[:64]!r} is where a list of hosts or groups should be: {ASK}.")
    return value or []
