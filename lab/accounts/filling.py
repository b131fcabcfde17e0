"""What the three fills share: the server they work on, passwords, and what a fill leaves behind."""

from __future__ import annotations

import io
import json
import os
import secrets
import subprocess
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lab.state import CACHE, STATE

CONTENT = Path(__file__).parent / "content"
NAME_TTL = 5
"""Seconds. A host lowers the TTLs ahead of a migration; the lab's names are born low."""


class FillError(Exception):
    """A fill cannot go on; the message is one sentence for the person who started it."""


class Execute(Protocol):
    """Runs a program as root on the server; gives its stdout, raises CalledProcessError if it fails."""

    def __call__(self, argv: list[str], input: bytes | None = None) -> bytes: ...


@dataclass(frozen=True)
class Server:
    """A server to fill accounts on. `create` is the agent's verb: it takes the account file."""

    execute: Execute
    create: Callable[[dict[str, Any]], Any]
    state: Path = STATE
    cache: Path = CACHE

    def run(self, *argv: str, input: bytes | str | None = None) -> bytes:
        """Runs `argv` as root; text input is sent as UTF-8. Raises FillError with what the program said."""
        data = input.encode() if isinstance(input, str) else input
        try:
            return self.execute(list(argv), data)
        except subprocess.CalledProcessError as error:
            output = (error.stderr or error.stdout or b"").decode(errors="replace").strip()
            raise FillError(f"filling failed: {' '.join(argv[:6])} said: {output[-1500:]}") from error

    def run_as(self, user: str, *argv: str, input: bytes | str | None = None) -> bytes:
        """Like `run`, as the Unix user `user`: nothing in a customer's home is written by root."""
        return self.run("runuser", "-u", user, "--", *argv, input=input)

    def write_as(self, user: str, folder: str, files: Mapping[str, bytes | str], mode: int = 0o644) -> None:
        """Writes `files` (path in `folder` -> content) as `user`, in one go."""
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for path, content in files.items():
                data = content.encode() if isinstance(content, str) else content
                member = tarfile.TarInfo(path)
                member.size, member.mode, member.mtime = len(data), mode, int(time.time())
                tar.addfile(member, io.BytesIO(data))
        self.unpack_as(user, folder, made.getvalue())

    def unpack_as(self, user: str, folder: str, archive: bytes) -> None:
        """Unpacks a tar into `folder` as `user`; the folder is made if it is not there."""
        self.run_as(user, "mkdir", "-p", folder)
        self.run_as(user, "tar", "-xpf", "-", "--no-same-owner", "-C", folder, input=archive)


@dataclass
class Filled:
    """What a fill leaves for the others: how to reach the account, and as whom."""

    account: str
    account_file: dict[str, Any]
    look: dict[str, Any]
    connections: list[dict[str, Any]] = field(default_factory=list)
    mailboxes: dict[str, str] = field(default_factory=dict)
    """address -> password"""

    @property
    def domains(self) -> list[str]:
        """Every host name of the account's sites."""
        return [name for site in self.account_file["sites"] for name in (site["domain"], *site["aliases"])]

    def names(self, address: str, address6: str) -> list[tuple[str, str, str, int]]:
        """The account's records in the zone: (fqdn, type, value, ttl in seconds)."""
        records = []
        for fqdn in self.domains:
            records += [(fqdn, "A", address, NAME_TTL), (fqdn, "AAAA", address6, NAME_TTL)]
        return records

    def save(self, state: Path) -> None:
        """Keeps it in the lab's state, readable by root only: it holds passwords."""
        path = state / "accounts" / f"{self.account}.json"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(self), file, indent=1)


def load(account: str, state: Path = STATE) -> Filled:
    """What the last fill of `account` left. Raises FillError if it was never filled."""
    path = state / "accounts" / f"{account}.json"
    if not path.exists():
        raise FillError(f"the account {account} was never filled: run `python -m lab fill` first")
    return Filled(**json.loads(path.read_text()))


def look(account: str, state: Path = STATE) -> dict[str, Any]:
    """How the account is looked at from outside: URLs and ids of Airflow connections (no secret in it)."""
    return load(account, state).look


def connections(account: str, state: Path = STATE) -> list[dict[str, Any]]:
    """The account's own credentials as Airflow connections (conn_id, conn_type, host, login, password, ...).

    `host` is the account's domain. Databases answer on the server where the account lives, so whoever
    looks takes that server's address instead as long as the names still point elsewhere.
    """
    return load(account, state).connections


def new_password() -> str:
    """A random password that needs no quoting anywhere."""
    return secrets.token_urlsafe(18)


def password_hash(password: str) -> str:
    """The password as Dovecot's passwd-file holds it ({SHA512-CRYPT}$6$...)."""
    made = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"], input=password, capture_output=True, text=True, check=True
    )
    return "{SHA512-CRYPT}" + made.stdout.strip()


def account_file(
    name: str,
    uid: int,
    *,
    postgresql: dict[str, list[str]] | None = None,
    mariadb: dict[str, Any] | None = None,
    mail: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The host's statement of what the account is, with one site `<name>.example`."""
    return {
        "account": name,
        "uid": uid,
        "gid": uid,
        "home": f"/home/{name}",
        "shell": "/bin/bash",
        "sites": [
            {"domain": f"{name}.example", "aliases": [f"www.{name}.example"], "root": "public_html"},
        ],
        "postgresql": postgresql or {"roles": [], "databases": []},
        "mariadb": mariadb or {"users": [], "databases": []},
        "mail": mail or {"domains": [], "mailboxes": []},
    }
