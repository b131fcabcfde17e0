"""What was started is ended with all that descends from it, and nothing else is."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

from lab import state
from tests.lab.handles import Lab

# a parent that hears no SIGTERM, with a child that hears none either
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
time.sleep(600)
"""


def test_a_tree_that_will_not_listen_is_ended(lab: Lab) -> None:
    state.spawn("test-stubborn", [sys.executable, "-c", STUBBORN])
    pid = state.recorded()["test-stubborn"]["pid"]
    until = time.monotonic() + 10
    while len(family := state.tree([pid])) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    state.spawn("test-stubborn", [sys.executable, "-c", STUBBORN])
    assert state.recorded()["test-stubborn"]["pid"] == pid, "what runs is not started twice"
    assert state.end(["test-stubborn"], patience=0.5) == ["test-stubborn"]
    assert not any(state.stat_of(one) for one in family)
    assert state.end(["test-stubborn"]) == []


def test_a_pid_that_was_used_again_is_left_alone(lab: Lab) -> None:
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            state.record("test-stranger", stranger.pid)
            path = state.RUN / "test-stranger.json"
            entry = json.loads(path.read_text())
            path.write_text(json.dumps(entry | {"started": entry["started"] - 1}))
            assert not state.alive("test-stranger")
            assert state.end(["test-stranger"]) == []
            assert stranger.poll() is None
        finally:
            stranger.send_signal(signal.SIGKILL)


def test_only_the_labs_namespaces_are_searched(lab: Lab) -> None:
    with subprocess.Popen(state.in_ns("th-visitor", ["sleep", "600"])) as visitor:
        try:
            until = time.monotonic() + 5
            while visitor.pid not in state.in_namespace("th-visitor"):
                assert time.monotonic() < until
                time.sleep(0.05)
            assert visitor.pid not in state.in_namespace("th-dns")
            assert not state.mine() & set(state.in_namespace("th-ops"))
            assert state.in_namespace("th-nothing") == []
        finally:
            visitor.kill()
