"""Servers are installed, rebooted, reinstalled and wiped."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from include.machines import MachineError
from tests.lab.handles import Lab, Running

SSH = [
    "ssh",
    "-F",
    "none",
    "-o",
    "BatchMode=yes",
    "-o",
    "ConnectTimeout=3",
    "-o",
    "StrictHostKeyChecking=yes",
]


def ssh(lab: Lab, server: Running, host_key: str, known_hosts: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Log in as the operators do, the host key pinned."""
    known_hosts.write_text(f"{server.spec.management_address} {host_key}\n")
    pinned = ["-i", str(lab.ops_key), "-o", f"UserKnownHostsFile={known_hosts}"]
    address = f"root@{server.spec.management_address}"
    return subprocess.run([*SSH, *pinned, address, *command], capture_output=True, text=True, timeout=30)


def test_a_pair_is_what_was_asked_for(lab: Lab, pair: tuple[Running, Running]) -> None:
    old, new = pair
    for server, infrastructure, debian in ((old, "2022", "12"), (new, "2026", "13")):
        assert lab.root(server.name, ["hostname"]).strip() == server.name
        assert f'VERSION_ID="{debian}"' in lab.root(server.name, ["cat", "/etc/os-release"])
        assert lab.machines.infrastructure(server.name) == infrastructure
        assert server.installed.host_key.startswith("ssh-ed25519 AAAA")
        for owned in ("/etc/ssh/ssh_host_ed25519_key", "/root/.ssh/authorized_keys", "/etc/hostname"):
            assert lab.root(server.name, ["stat", "-c", "%U:%G", owned]).strip() == "root:root"
        assert lab.root(server.name, ["stat", "-c", "%a", "/root"]).strip() == "700"
    assert old.installed.host_key != new.installed.host_key


def test_the_operators_key_can_run_the_launcher_and_nothing_else(
    lab: Lab, pair: tuple[Running, Running], tmp_path: Path
) -> None:
    old, _ = pair
    assert ssh(lab, old, old.installed.host_key, tmp_path / "known", "digest").stdout.strip()
    told = ssh(lab, old, old.installed.host_key, tmp_path / "known", "cat", "/etc/shadow")
    assert "root:" not in told.stdout


def test_another_host_key_is_not_spoken_to(lab: Lab, pair: tuple[Running, Running], tmp_path: Path) -> None:
    old, new = pair
    refused = ssh(lab, old, new.installed.host_key, tmp_path / "known", "digest")
    assert refused.returncode == 255 and "Host key verification failed" in refused.stderr


def test_a_server_reaches_the_world_of_the_lab(lab: Lab, pair: tuple[Running, Running]) -> None:
    old, new = pair
    lab.root(old.name, ["ping", "-c1", "-W2", new.spec.lan_address])
    lab.root(old.name, ["ping", "-c1", "-W2", new.spec.management_address])
    lab.root(old.name, ["ping", "-6", "-c1", "-W2", "2001:db8:203::10"])
    lab.root(old.name, ["getent", "hosts", "ns.example"])


def test_nothing_of_the_machine_can_be_set_from_inside(lab: Lab, pair: tuple[Running, Running]) -> None:
    # the value it has already, should this ever be let through
    write = "v=$(cat /proc/sys/vm/swappiness); echo $v > /proc/sys/vm/swappiness"
    told = lab.machines.execute(pair[0].name, ["sh", "-c", write])
    assert told.returncode and b"Read-only" in told.stderr


def test_a_reboot_from_inside_keeps_all_and_is_reached_again(lab: Lab, pair: tuple[Running, Running]) -> None:
    old, _ = pair
    boot = lab.root(old.name, ["cat", "/proc/1/stat"]).split()[21]
    lab.root(old.name, ["touch", "/root/kept"])
    lab.root(old.name, ["reboot"], check=False)
    until = time.monotonic() + 30
    while True:
        told = lab.machines.execute(old.name, ["cat", "/proc/1/stat"])
        if told.returncode == 0 and told.stdout.decode().split()[21] != boot:
            break
        assert time.monotonic() < until, "it does not come back"
        time.sleep(0.2)
    assert lab.machines.install(old.spec, "2022") == old.installed
    lab.root(old.name, ["test", "-e", "/root/kept"])


def test_power_cut_then_install_again_switches_it_on(lab: Lab, pair: tuple[Running, Running]) -> None:
    old, _ = pair
    lab.root(old.name, ["sh", "-c", "echo kept > /root/synced; sync"])
    lab.machines.cut_power(old.spec)
    assert not lab.machines.running(old.name)
    assert lab.machines.install(old.spec, "2022") == old.installed
    assert lab.root(old.name, ["cat", "/root/synced"]) == "kept\n"


def test_reinstall_while_it_runs_leaves_nothing(lab: Lab) -> None:
    with lab.fresh("2022") as (server,):
        lab.root(server.name, ["touch", "/root/left"])
        began = time.monotonic()
        again = lab.machines.reinstall(server.spec, "2026")
        assert time.monotonic() - began < 20
        assert again.host_key != server.installed.host_key
        assert lab.root(server.name, ["ls", "/root"]) == ""
        lab.machines.wipe(server.spec)
        lab.machines.wipe(server.spec)
        assert not lab.machines.running(server.name)
        assert not (lab.machines.servers / server.name).exists()


def test_a_reinstall_shows_the_host_keys_that_the_server_had(lab: Lab, tmp_path: Path) -> None:
    """All that sshd made, to whoever knows only the one of RSA, and with root's rights; cut off or not."""
    with lab.fresh("2022") as (server,):
        lab.root(server.name, ["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", "/etc/ssh/ssh_host_rsa_key"])
        rsa = lab.root(server.name, ["cat", "/etc/ssh/ssh_host_rsa_key.pub"])
        lab.machines.keep(server.spec, f"{server.name}-before")
        try:
            again = lab.machines.reinstall(server.spec, "2026", f"{server.name}-before")
            assert again == server.installed
            assert ssh(lab, server, server.installed.host_key, tmp_path / "known", "digest").stdout.strip() == "none"
            assert ssh(lab, server, rsa.strip(), tmp_path / "known", "digest").stdout.strip() == "none"
            assert lab.root(server.name, ["stat", "-c", "%a %U", "/etc/ssh/ssh_host_rsa_key"]).strip() == "600 root"
        finally:
            lab.machines.discard(f"{server.name}-before")
        with pytest.raises(MachineError, match="no kept disk"):
            lab.machines.reinstall(server.spec, "2026", f"{server.name}-before")
        assert lab.machines.running(server.name), "nothing is destroyed where there are no keys"


def test_half_an_install_is_begun_anew(lab: Lab) -> None:
    with lab.fresh("2022") as (server,):
        lab.machines.cut_power(server.spec)
        (lab.machines.servers / server.name / "installed.json").unlink()
        assert lab.machines.install(server.spec, "2022").host_key != server.installed.host_key


def test_an_unknown_infrastructure_is_refused_and_nothing_is_lost(lab: Lab) -> None:
    with lab.fresh("2022") as (server,):
        with pytest.raises(MachineError, match="no base tree for the infrastructure '1999'"):
            lab.machines.reinstall(server.spec, "1999")
        assert lab.machines.running(server.name)
