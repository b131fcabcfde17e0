"""A host's own steps on servers of a test: executables that write down what they are asked, and do as the test says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from include.agent.layouts import provisioning

DOUBLE = """#!/usr/bin/python3 -IS
import json, os, sys, time
asked = json.load(sys.stdin)
kept = {kept!r}
server = {server!r}
if not asked.get("rehearsal") or {rehearsals}:
    with open(kept + "/asked", "a") as file:
        file.write(json.dumps({{"server": server, **asked}}) + "\\n")
answer = "{{}}"
{does}
print(answer)
"""


def take_for_roots(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns what is in this folder in a test is root to what looks; the folders above it are left out."""
    look = os.lstat

    def as_roots(path: Any, *more: Any, **named: Any) -> Any:
        inside = Path(path) == folder or folder in Path(path).parents
        if not inside:
            return SimpleNamespace(st_mode=0o40755, st_uid=0)
        found = look(path, *more, **named)
        return SimpleNamespace(st_mode=found.st_mode, st_uid=0 if found.st_uid == os.getuid() else found.st_uid)

    monkeypatch.setattr(os, "lstat", as_roots)


class OwnSteps:
    """The steps of the server that is `at`. `asked`: what the executables of all servers were asked, in order."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: float = 60) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.kept = folder / "kept"
        self.kept.mkdir(parents=True)
        take_for_roots(folder, monkeypatch)
        # A busy machine is given time; what is to be too slow says its own limit.
        monkeypatch.setattr(provisioning, "SECONDS", dict.fromkeys(provisioning.SECONDS, seconds))

    def at(self, server: str) -> OwnSteps:
        self.server = server
        self.steps = self.folder / server / "steps"
        self.steps.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.monkeypatch.setattr(provisioning, "STEPS", self.steps)
        return self

    def put(self, *steps: str, does: str = "", rehearsals: bool = False) -> OwnSteps:
        """`does`: Python that it runs when it has written down what it is asked; it may set `answer`."""
        for step in steps:
            path = self.steps / step
            path.write_text(DOUBLE.format(kept=str(self.kept), server=self.server, does=does, rehearsals=rehearsals))
            path.chmod(0o755)
        return self

    @property
    def all_asked(self) -> list[dict[str, Any]]:
        path = self.kept / "asked"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def asked(self) -> list[str]:
        """The same in short: server, step and what is the point of it."""
        return [" ".join(_short(each)) for each in self.all_asked]

    def note(self, what: str) -> None:
        """Write down something of the test's own between them."""
        with open(self.kept / "asked", "a") as file:
            file.write(json.dumps({"server": self.server, "step": what}) + "\n")

    def forget(self) -> None:
        (self.kept / "asked").unlink(missing_ok=True)


def _short(asked: dict[str, Any]) -> list[str]:
    words = [asked["server"], asked["step"]]
    if "wanted" in asked:
        words.append("wanted" if asked["wanted"] else "unwanted")
    if asked.get("to"):
        words.append(f"to {asked['to']}")
    return words + ["(rehearsal)"] * bool(asked.get("rehearsal"))
