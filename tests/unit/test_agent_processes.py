"""Ending an account's processes: all of them but the clients that the agent itself has started."""

import os
import subprocess
import sys

import pytest

from include.agent import system


@pytest.mark.skipif(os.geteuid() != 0, reason="starts processes of another uid")
def test_the_agents_own_clients_are_spared() -> None:
    uid = 54321
    ours = subprocess.Popen(["sleep", "60"], user=uid, group=uid, extra_groups=[])
    started = f"subprocess.Popen(['sleep', '60'], user={uid}, group={uid}, stdout=-3, stderr=-3)"
    code = f"import subprocess; print({started}.pid)"
    theirs = int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    try:
        assert system.end_processes(uid) == 1
        assert ours.poll() is None
        assert not os.path.exists(f"/proc/{theirs}/cmdline") or not open(f"/proc/{theirs}/cmdline").read()
    finally:
        ours.kill()
        ours.wait()
