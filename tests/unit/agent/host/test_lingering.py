"""What a user runs without a login ends with a hold, begins again after it, and is not begun by a boot in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.agent.host import lingering
from include.agent.host.kept import Kept


def test_it_is_set_aside_and_brought_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(lingering, "LINGER", tmp_path / "linger")
    monkeypatch.setattr(lingering, "run", lambda argv, **_: ran.append(" ".join(argv)))
    aside, mark = tmp_path / "aside", tmp_path / "linger" / "alice"
    (tmp_path / "linger").mkdir()
    for _ in range(2):
        lingering.set_aside("alice", aside)
        lingering.bring_back("alice", 2001, aside)
    assert not lingering.is_on("alice", aside) and ran == []

    mark.touch()
    for _ in range(2):
        lingering.set_aside("alice", aside)
        assert not mark.exists() and lingering.is_on("alice", aside)
    with Kept():
        for _ in range(2):
            lingering.bring_back("alice", 2001, aside)
            assert mark.exists() and not aside.exists() and lingering.is_on("alice", aside)
    assert ran == ["loginctl enable-linger alice", "systemctl start --no-block user@2001.service"]


def test_who_comes_to_a_server_where_nobody_lingers_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lingering, "LINGER", tmp_path / "linger")
    monkeypatch.setattr(lingering, "run", lambda *_, **__: None)
    (tmp_path / "aside").touch()
    with Kept():
        lingering.bring_back("alice", 2001, tmp_path / "aside")
    assert (tmp_path / "linger" / "alice").exists()
