"""What the source knows of an account that it follows: one file, replaced as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...account.accounts import Account
from ...host.system import read_json, write_durably
from .binlog import Piece
from .changes import Position
from .tables import Name
from .values import Key


def state_path(account: Account) -> Path:
    return account.directory / "mariadb.follow.json"


class State:
    """Where following stands.

    `token` names this following of `databases` on both sides. Up to `position` in the binary log the target is equal,
    but for the tables of `load`, which are yet to be made there, and of `unproven`, whose whole has not been compared;
    `carried` are keys of rows that were found different. `told` is a hash of the users and objects that the target has,
    `prints` are those of the definitions that its tables were made by, `rest` that of all else that is defined.
    `started` names the run of MariaDB here that all of it is known of, `touched` says when its tables were last
    written to, and `prepared` where the log tells of transactions that are prepared and not committed."""

    def __init__(self, account: Account) -> None:
        self._path = state_path(account)
        self._take(read_json(self._path) or {})

    def clear(self) -> None:
        """Nothing is followed yet."""
        self._path.unlink(missing_ok=True)
        self._take({})

    def _take(self, data: dict[str, Any]) -> None:
        self.token: str = data.get("token", "")
        self.databases: list[str] = data.get("databases", [])
        self.position = Position(*data["position"]) if data.get("position") else None
        self.told: str = data.get("told", "")
        self.load = {(row[0], row[1]) for row in data.get("load", [])}
        self.unproven = {(row[0], row[1]) for row in data.get("unproven", [])}
        self.carried = _keys(data.get("carried", []))
        self.prepared: list[Piece] = [(row[0], row[1], row[2]) for row in data.get("prepared", [])]
        self.prints = {(row[0], row[1]): row[2] for row in data.get("prints", [])}
        self.rest: str = data.get("rest", "")
        self.started: str = data.get("started", "")
        self.touched = {(row[0], row[1]): row[2] for row in data.get("touched", [])}

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
            "prepared": self.prepared,
            "prints": sorted([*name, text] for name, text in self.prints.items()),
            "rest": self.rest,
            "started": self.started,
            "touched": sorted([*name, text] for name, text in self.touched.items()),
        }
        write_durably(self._path, json.dumps(data))


def _keys(rows: list[list[Any]]) -> dict[Name, set[Key]]:
    return {(row[0], row[1]): {tuple(key) for key in row[2]} for row in rows}


def _rows(keys: dict[Name, set[Key]]) -> list[list[Any]]:
    return [[*name, sorted(values)] for name, values in keys.items()]
