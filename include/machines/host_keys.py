"""The SSH host keys that a server is installed with: a fresh one, or those of the disk that it had before.

Kept keys are read where the kept disk lies, by what makes the machines, and are nowhere else: no other server, no
database and no log gets them, and they go when that disk is discarded.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from include.machines.interface import MachineError

Key = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey
KINDS: Mapping[str, type[Key]] = {"ed25519": Ed25519PrivateKey, "ecdsa": EllipticCurvePrivateKey, "rsa": RSAPrivateKey}
"""What sshd makes at its installation; it shows the first one that a client knows."""

FOLDER = ("etc", "ssh")
LARGEST = 1 << 14
"""Bytes of a private key; one of RSA with 16384 bits has 13,000."""


@dataclass(frozen=True)
class HostKey:
    """A private key as the file of sshd's, and its public one ("ssh-ed25519 AAAA...")."""

    kind: str
    private: bytes
    public: str

    @property
    def path(self) -> str:
        """Where it is on a server."""
        return f"/{'/'.join(FOLDER)}/ssh_host_{self.kind}_key"


def fresh() -> HostKey:
    """A key that no server has had."""
    key = Ed25519PrivateKey.generate()
    return HostKey("ed25519", key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), _public(key))


def of_disk(root: Path, name: str) -> list[HostKey]:
    """The keys on the disk whose `/` is `root`; `name` is what it is called in a refusal. The one of ed25519, by which
    the server is known here, must be there, and is the first.

    Whoever was root on that server may have put anything there, so no link is followed and nothing but a key is taken.
    """
    keys = [HostKey(kind, data, _public(_read_key(kind, data, name))) for kind, data in _files(root, name)]
    if "ed25519" not in [key.kind for key in keys]:
        raise _unusable(name, "there is no ssh_host_ed25519_key")
    return keys


def _files(root: Path, name: str) -> list[tuple[str, bytes]]:
    """The files that are there, by their kinds, read without following a link."""
    folders = [os.open(root, os.O_PATH | os.O_DIRECTORY)]
    try:
        for part in FOLDER:
            folders.append(os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folders[-1]))
        return [(kind, data) for kind in KINDS if (data := _file(folders[-1], f"ssh_host_{kind}_key", name))]
    except OSError as error:
        raise _unusable(name, f"/etc/ssh cannot be read ({error.strerror})") from None
    finally:
        for folder in folders:
            os.close(folder)


def _file(folder: int, file: str, name: str) -> bytes | None:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except FileNotFoundError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _unusable(name, f"{file} is no ordinary file")
        data = os.read(descriptor, LARGEST + 1)
    finally:
        os.close(descriptor)
    if len(data) > LARGEST:
        raise _unusable(name, f"{file} is too large for a key")
    return data


def _read_key(kind: str, data: bytes, name: str) -> Key:
    forms: tuple[Callable[[bytes, None], Any], ...] = (load_ssh_private_key, load_pem_private_key)
    for load in forms:
        try:
            key = load(data, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
        if isinstance(key, KINDS[kind]):
            return key
    raise _unusable(name, f"ssh_host_{kind}_key is no {kind} key without a passphrase")


def _public(key: Key) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def _unusable(name: str, why: str) -> MachineError:
    return MachineError(
        f"The SSH host keys of {name} cannot be kept: {why}. Put the file right there, or let the server have a new "
        "key (Manage transits, keep_host_keys)."
    )
