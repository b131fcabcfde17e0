"""Who installs servers is chosen by name, and every driver lays down the same files first."""

from __future__ import annotations

import inspect

import pytest

from include.agent.host import launcher
from include.machines import DRIVERS, LxcMachines, MachineError, Machines, MachineSpec, driver, host_keys, laid_down

LXC = {"state_dir": "/var/lib/th", "cache_dir": "/var/cache/th", "authorized_key": "ssh-ed25519 AAAA ops"}
SPEC = MachineSpec("vps-1", "10.20.0.11", "10.30.0.11", "fd30::11", "10.30.0.1", "fd30::1")


KEY = host_keys.fresh()


def test_a_driver_is_made_by_its_name_and_settings():
    made = driver("lxc", {**LXC, "resolver": "10.0.0.53"})
    assert isinstance(made, LxcMachines) and made.resolver == "10.0.0.53"


@pytest.mark.parametrize(
    ("kind", "settings", "told"),
    [
        ("cloud", LXC, "There is no kind of machines 'cloud': use lxc"),
        ("lxc", {**LXC, "colour": "blue"}, "no settings of the machines of kind lxc .*'colour'"),
        ("lxc", {"state_dir": "/x"}, "no settings of the machines of kind lxc .*'cache_dir'"),
    ],
)
def test_a_wrong_driver_is_refused_in_a_sentence(kind, settings, told):
    with pytest.raises(MachineError, match=told):
        driver(kind, settings)


@pytest.mark.parametrize("made", DRIVERS.values(), ids=DRIVERS)
def test_every_driver_has_each_function_of_machines_as_it_is_called(made):
    for name, function in inspect.getmembers(Machines, inspect.isfunction):
        if not name.startswith("_"):
            assert [*inspect.signature(getattr(made, name)).parameters] == [*inspect.signature(function).parameters]


def test_a_fresh_server_lets_in_one_key_for_the_launcher_alone():
    files = {file.path: file for file in laid_down.files(SPEC, "2026", "ssh-ed25519 AAAA ops", [KEY], "192.0.2.54")}
    keys = files["/root/.ssh/authorized_keys"]
    assert keys.content == f'restrict,command="{laid_down.LAUNCHER}" ssh-ed25519 AAAA ops\n' and keys.mode == 0o600
    assert files[laid_down.LAUNCHER].content == open(launcher.__file__, "rb").read()
    sshd = str(files["/etc/ssh/sshd_config.d/management.conf"].content)
    assert "PasswordAuthentication no" in sshd and "HostKey /etc/ssh/ssh_host_ed25519_key\n" in sshd
    private = files["/etc/ssh/ssh_host_ed25519_key"]
    assert (private.content, private.mode) == (KEY.private, 0o600)
    assert files["/etc/ssh/ssh_host_ed25519_key.pub"].content == f"{KEY.public} vps-1\n"
    assert str(files["/etc/hosts"].content).endswith("10.30.0.11 vps-1.example vps-1\n")


def test_what_nothing_declares_is_not_laid_down():
    with pytest.raises(MachineError, match="Nothing declares infrastructure '1999'"):
        list(laid_down.files(SPEC, "1999", "key", [KEY], "192.0.2.54"))
