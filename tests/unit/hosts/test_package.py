"""An agent's package stays as long as anything runs from it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from include.agent import __main__ as agent
from include.agent import installation
from include.hosts.package import build_agent


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where packages are, with that of an agent which came two days ago."""
    monkeypatch.setattr(installation, "AGENT", tmp_path / "agent.pyz")
    (tmp_path / "new.pyz").write_bytes(build_agent())
    old = tmp_path / "unpacked" / "0123456789abcdef"
    (old / "agent").mkdir(parents=True)
    age(old)
    return tmp_path / "unpacked"


def age(package: Path) -> None:
    before = time.time() - 2 * 86400
    os.utime(package, (before, before))


def push(unpacked: Path) -> set[str]:
    installation._unpack(unpacked.parent / "new.pyz")
    return {path.name for path in unpacked.iterdir()}


def test_what_is_replaced_now_is_not_old(unpacked: Path) -> None:
    assert "0123456789abcdef" in push(unpacked)


def test_what_was_replaced_long_ago_goes(unpacked: Path) -> None:
    push(unpacked)
    age(unpacked / "0123456789abcdef")
    assert len(push(unpacked)) == 1


def test_a_package_stays_while_an_operation_runs_from_it(unpacked: Path) -> None:
    (build,) = push(unpacked) - {"0123456789abcdef"}
    code = "import sys, time; sys.path.insert(0, sys.argv[1]); from agent import __main__ as m; m._stay(); print(1)"
    argv = [sys.executable, "-c", f"{code}; sys.stdout.flush(); time.sleep(60)", str(unpacked / build)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None and running.stdout.readline() == b"1\n"
        # Another agent takes its place, and a long time passes.
        (unpacked / build).rename(unpacked / "of-before")
        push(unpacked)
        age(unpacked / "of-before")
        assert "of-before" in push(unpacked)
        running.kill()
    assert "of-before" not in push(unpacked)


def test_from_the_tree_nothing_is_kept() -> None:
    before = len(os.listdir("/proc/self/fd"))
    agent._stay()
    assert len(os.listdir("/proc/self/fd")) == before
