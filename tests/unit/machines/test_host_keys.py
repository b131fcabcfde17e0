"""A server that is installed again shows the SSH host keys that it had; they are read from a disk that a hostile root
may have written."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from include.machines import MachineError, host_keys

NAME = "the kept disk migration-7"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    (tmp_path / "disk/etc/ssh").mkdir(parents=True)
    return tmp_path / "disk"


def make(disk: Path, kind: str, *options: str, passphrase: str = "") -> str:
    """As OpenSSH makes it; gives the public key."""
    path = disk / f"etc/ssh/ssh_host_{kind}_key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", path, *options], check=True)
    return " ".join(path.with_name(f"{path.name}.pub").read_text().split()[:2])


def test_a_fresh_key_is_one_that_openssh_reads(tmp_path):
    key = host_keys.fresh()
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_bytes(key.private)
    told = subprocess.run(["ssh-keygen", "-y", "-f", tmp_path / "key"], capture_output=True, text=True, check=True)
    assert told.stdout.split() == key.public.split()
    assert host_keys.fresh().public != key.public


def test_every_key_of_a_disk_is_read_whatever_form_it_has(disk):
    made = {
        "rsa": make(disk, "rsa", "-b", "1024", "-m", "PEM"),
        "ecdsa": make(disk, "ecdsa", "-m", "PKCS8"),
        "ed25519": make(disk, "ed25519"),
    }
    found = host_keys.of_disk(disk, NAME)
    assert {key.kind: key.public for key in found} == made
    assert found[0].kind == "ed25519"
    assert found[0].private == (disk / "etc/ssh/ssh_host_ed25519_key").read_bytes()
    assert [key.path for key in found] == [f"/etc/ssh/ssh_host_{kind}_key" for kind in ("ed25519", "ecdsa", "rsa")]


def test_the_one_that_the_server_is_known_by_must_be_there(disk):
    make(disk, "ecdsa")
    with pytest.raises(MachineError, match="SSH host keys of the kept disk migration-7 cannot be kept: there is no"):
        host_keys.of_disk(disk, NAME)


def test_a_key_of_another_kind_or_none_is_refused(disk):
    make(disk, "ed25519")
    key = disk / "etc/ssh/ssh_host_ed25519_key"
    for content in (b"", b"root:x:0:0", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", b"\0" * 20_000):
        key.write_bytes(content)
        with pytest.raises(MachineError, match="cannot be kept"):
            host_keys.of_disk(disk, NAME)
    key.unlink()
    make(disk, "ecdsa")
    (disk / "etc/ssh/ssh_host_ecdsa_key").rename(key)
    with pytest.raises(MachineError, match="is no ed25519 key without a passphrase"):
        host_keys.of_disk(disk, NAME)


def test_a_key_with_a_passphrase_is_refused(disk):
    make(disk, "ed25519", passphrase="secret")
    with pytest.raises(MachineError, match="without a passphrase"):
        host_keys.of_disk(disk, NAME)


@pytest.mark.parametrize("linked", ["etc", "etc/ssh", "etc/ssh/ssh_host_ed25519_key"])
def test_no_link_on_the_disk_is_followed(disk, tmp_path, linked):
    """Root of that server may let any path lead into the machine that reads it: to its own keys, above all."""
    make(disk, "ed25519")
    there = disk / linked
    there.rename(tmp_path / "elsewhere")
    there.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MachineError, match="cannot be kept"):
        host_keys.of_disk(disk, NAME)


def test_what_is_no_file_holds_nobody_up(disk):
    os.mkfifo(disk / "etc/ssh/ssh_host_ed25519_key")
    with pytest.raises(MachineError, match="is no ordinary file"):
        host_keys.of_disk(disk, NAME)
    (disk / "etc/ssh/ssh_host_ed25519_key").unlink()
    (disk / "etc/ssh/ssh_host_ed25519_key").mkdir()
    with pytest.raises(MachineError, match="is no ordinary file"):
        host_keys.of_disk(disk, NAME)
