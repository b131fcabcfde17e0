"""Down takes all of it away, after crashes too, and nothing of anybody else's. Runs last (see conftest)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.stage import enter
from include.machines.lxc import processes_on
from lab import __main__ as lab_cli
from lab import router, servers, state, topology
from tests.lab.handles import Lab

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def machines_own() -> tuple[list[str], str]:
    """The first namespace's interfaces and routes: what the lab must leave as it found it."""
    links = sorted(link["ifname"] for link in json.loads(state.run(["ip", "-j", "link"])))
    return links, state.run(["ip", "route", "show", "table", "all"])


def cmdline(pid: int) -> str:
    """What a process was started as."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def command(verb: str) -> list[str]:
    """A verb of the lab, as typed."""
    return [sys.executable, "-m", "lab", verb]


def gone() -> None:
    """Nothing of the lab is left."""
    assert topology.namespaces() == []
    assert not state.STATE.exists()
    mounts = Path("/proc/self/mounts").read_text()
    assert str(state.STATE) not in mounts and "/run/netns/th-" not in mounts
    for hierarchy in (servers.CGROUPS, *servers.CGROUPS.iterdir()):
        assert not (hierarchy / "transhumance").exists()
    for pid in state.all_pids():
        assert str(state.STATE) not in cmdline(pid), f"{pid} is left: {cmdline(pid)}"


@pytest.fixture
def outside(lab: Lab) -> Iterator[Lab]:
    """The test's process in the machine's own namespace, as somebody who types `make down`."""
    if not lab.ours:
        pytest.skip("the lab was up before these tests: what is in it is not theirs to end")
    enter(lab.home)
    yield lab
    lab_cli.up(first=None)
    enter(f"/run/netns/{topology.OPS}")


def test_up_down_crashed_repeated_and_half_up(outside: Lab) -> None:
    before = machines_own()
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            # up again changes nothing that runs, and no route that was changed meanwhile
            running = state.recorded()
            router.execute(["ip", "route", "replace", "198.51.100.31/32", "via", "10.30.0.32"])
            subprocess.run(command("up"), check=True, env=ENVIRONMENT)
            assert {n: e["pid"] for n, e in state.recorded().items()} == {n: e["pid"] for n, e in running.items()}
            assert "10.30.0.32" in router.execute(["ip", "route", "show", "198.51.100.31/32"])
            assert outside.machines.infrastructure("vps-1") == "2022"

            # a crash: a server's monitor is killed, and nobody knows any more that BIND was started
            words = f"[lxc monitor] {outside.machines.servers} vps-1"
            monitor = [p for p in state.all_pids() if words in cmdline(p)]
            os.kill(monitor[0], signal.SIGKILL)
            (state.RUN / "named.json").unlink()
            (state.RUN / "postgresql.json").unlink()
            assert processes_on(outside.machines.servers / "vps-1" / "delta")
            for _ in range(2):
                subprocess.run(command("down"), check=True, env=ENVIRONMENT)
                gone()

            # cut off on the way up, at several points
            for seconds in (0.15, 0.5, 1.0, 1.5, 2.5):
                with subprocess.Popen(command("up"), env=ENVIRONMENT) as half:
                    time.sleep(seconds)
                    half.kill()
                subprocess.run(command("down"), check=True, env=ENVIRONMENT)
                gone()
            assert stranger.poll() is None
            assert machines_own() == before
        finally:
            stranger.kill()
