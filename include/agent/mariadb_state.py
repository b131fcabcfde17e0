"""What the source knows of an account that it follows: one file, replaced as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .accounts import Account
from .mariadb_changes import Position
from .mariadb_tables import Name
from .mariadb_values import Key
from .system import read_json, write_durably


def state_path(account: Account) -> Path:
    return account.directory / "mariadb.follow.json"


class State:
    """Where following stands.

    `token` names this following of `databases` on both sides. Up to `position` in the binary log the target is equal,
    but for the tables of `load`, which are yet to be made there, and of `unproven`, whose whole has not been compared;
    `carried` are keys of rows that were found different, `prepared` those of transactions that are prepared and not
    committed. `told` is a hash of the users and objects that the target has."""

    def __init__(self, account: Account) -> None:
        self._path = state_path(account)
        data = read_json(self._path) or {}
        self.token: str = data.get("token", "")
        self.databases: list[str] = data.get("databases", [])
        self.position = Position(*data["position"]) if data.get("position") else None
        self.told: str = data.get("told", "")
        self.load = {(row[0], row[1]) for row in data.get("load", [])}
        self.unproven = {(row[0], row[1]) for row in data.get("unproven", [])}
        self.carried = _keys(data.get("carried", []))
        self.prepared = _keys(data.get("prepared", []))

    def save(self) -> None:
        """Write it down, durably."""
        data = {
            "token": self.token,
            "databases": self.databases,
            "position": self.position.to_json() if self.position else None,
            "told": self.told,
            "load": sorted(self.load),
            "unproven": sorted(self.unproven),
            "carried": _rows(self.carried),
            "prepared": _rows(self.prepared),
        }
        write_durably(self._path, json.dumps(data))

    def waiting(self) -> dict[Name, set[Key]]:
        """Keys of rows that the next pass brings over whatever the log says."""
        return {name: self.carried.get(name, set()) | self.prepared.get(name, set()) for name in self._names()}

    def prepare(self, more: dict[Name, set[Key]]) -> None:
        """Keep the keys of transactions that were prepared: when they are committed, the log does not name them."""
        for name, keys in more.items():
            self.prepared.setdefault(name, set()).update(keys)

    def _names(self) -> set[Name]:
        return {*self.carried, *self.prepared}


def _keys(rows: list[list[Any]]) -> dict[Name, set[Key]]:
    return {(row[0], row[1]): {tuple(key) for key in row[2]} for row in rows}


def _rows(keys: dict[Name, set[Key]]) -> list[list[Any]]:
    return [[*name, sorted(some)] for name, some in keys.items()]
