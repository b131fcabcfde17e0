"""Specs are checked, and what is laid over a base tree looks as it should."""

from __future__ import annotations

import stat

import pytest

from include.machines import LxcMachines, MachineError, MachineSpec
from include.machines.delta import Delta
from include.machines.lxc import hardware_address

GOOD = {
    "name": "vps-1",
    "management_address": "10.20.0.11",
    "lan_address": "10.30.0.11",
    "lan_address6": "fd30::11",
    "router_address": "10.30.0.1",
    "router_address6": "fd30::1",
}


@pytest.mark.parametrize(
    "field, value",
    [
        ("name", "../etc"),
        ("name", "Vps"),
        ("name", ""),
        ("name", "a\nlxc.hook.start = /bin/sh"),
        ("management_address", "10.20.0.11/24"),
        ("lan_address", "fd30::11"),
        ("lan_address6", "10.30.0.11"),
        ("router_address6", "fd30::1\n"),
    ],
)
def test_a_wrong_spec_is_refused(field, value):
    assert MachineSpec(**GOOD)
    with pytest.raises(MachineError):
        MachineSpec(**(GOOD | {field: value}))


def test_hardware_addresses_follow_from_addresses_and_differ():
    assert hardware_address(0, "10.20.0.11") == "02:00:0a:14:00:0b"
    assert hardware_address(1, "10.20.0.11") != hardware_address(0, "10.20.0.11")


def test_directories_keep_the_base_trees_mode_and_files_their_own(tmp_path):
    base, upper, tree = tmp_path / "base", tmp_path / "upper", tmp_path / "tree"
    (base / "root").mkdir(parents=True)
    (base / "root").chmod(0o700)
    (tree / "usr/local").mkdir(parents=True)
    (tree / "usr/local/run").write_text("x")
    (tree / "usr/local/run").chmod(0o775)
    (tree / "usr/local/off").symlink_to("/dev/null")
    delta = Delta(base, upper)
    delta.write("/root/.ssh/authorized_keys", "key\n", 0o600)
    delta.copy_tree(tree)
    delta.write("/usr/local/run", "y", 0o640)
    assert stat.S_IMODE((upper / "root").stat().st_mode) == 0o700
    assert stat.S_IMODE((upper / "root/.ssh/authorized_keys").stat().st_mode) == 0o600
    assert (upper / "usr/local/run").read_text() == "y"
    assert stat.S_IMODE((upper / "usr/local/run").stat().st_mode) == 0o640
    assert (upper / "usr/local/off").readlink().as_posix() == "/dev/null"


def test_a_symbolic_link_is_never_followed(tmp_path):
    base, upper = tmp_path / "base", tmp_path / "upper"
    base.mkdir()
    (base / "bin").symlink_to("usr/bin")
    with pytest.raises(MachineError, match="symbolic link bin"):
        Delta(base, upper).write("/bin/sh", "x")
    (upper / "etc").symlink_to(tmp_path)
    with pytest.raises(MachineError, match="symbolic link etc"):
        Delta(base, upper).write("/etc/passwd", "x")
    assert not (tmp_path / "passwd").exists()


def test_an_infrastructure_without_a_base_tree_is_refused(tmp_path):
    machines = LxcMachines(tmp_path / "state", tmp_path / "cache", "ssh-ed25519 AAAA ops")
    with pytest.raises(MachineError, match="no base tree"):
        machines.install(MachineSpec(**GOOD), "2026")
    for name in ("1999", "../../etc", ""):
        with pytest.raises(MachineError, match="Nothing declares"):
            machines.install(MachineSpec(**GOOD), name)


def test_a_folder_that_is_missing_is_told(tmp_path):
    with pytest.raises(MachineError, match="is missing: a server would come up without its files"):
        Delta(tmp_path, tmp_path / "upper").copy_tree(tmp_path / "infrastructure" / "2031")
