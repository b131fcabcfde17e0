"""The host's own access as root, on a real sshd of this machine: the key that a server shows is judged before anything
is told to it, what it says is measured, and what is in the way is one sentence."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import paramiko
import pytest

from include.agent.host import entrance
from include.hosts import root_access
from include.hosts.root_access import Access, NotEnrolled, RootAccess, fingerprint, require_key

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
IS_ROOT = os.geteuid() == 0


@dataclass
class Sshd:
    """An sshd on a port of its own, which lets in who runs the tests."""

    folder: Path
    port: int

    @property
    def host_key(self) -> str:
        return " ".join((self.folder / "host.pub").read_text().split()[:2])

    @property
    def access(self) -> Access:
        return Access("127.0.0.1", getpass.getuser(), self.port, key_file=str(self.folder / "user"))

    def enter(self, pinned: str | None = None, given: str | None = None) -> RootAccess:
        return RootAccess("web-1", self.access, require_key("web-1", pinned, given))


@contextmanager
def running(folder: Path, *settings: str, host_key: str = "ed25519") -> Iterator[Sshd]:
    for name, kind in (("host", host_key), ("user", "ed25519")):
        if not (folder / name).exists():
            argv = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(folder / name)]
            subprocess.run(argv, check=True)
    (folder / "keys").write_text((folder / "user.pub").read_text())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lines = [
        f"ListenAddress 127.0.0.1:{port}",
        f"HostKey {folder / 'host'}",
        f"AuthorizedKeysFile {folder / 'keys'}",
        "PidFile none",
        "StrictModes no",
        "UsePAM no",
        "PermitRootLogin yes",
    ]
    (folder / "config").write_text("\n".join([*settings, *lines]) + "\n")
    if IS_ROOT:
        os.makedirs("/run/sshd", exist_ok=True)
    with subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "config")], stderr=subprocess.PIPE) as sshd:
        try:
            end = time.monotonic() + 60
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    assert time.monotonic() < end and sshd.poll() is None
                    time.sleep(0.02)
            yield Sshd(folder, port)
        finally:
            sshd.terminate()


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running(tmp_path_factory.mktemp("sshd")) as one:
        yield one


def refused(work: Callable[[], object]) -> str:
    with pytest.raises(NotEnrolled) as error:
        work()
    assert error.value.message.isprintable() and error.value.message.endswith(".")
    return error.value.message


def test_a_key_that_is_met_first_is_taken_and_told(sshd: Sshd) -> None:
    with sshd.enter() as root:
        assert root.host_key == sshd.host_key
    told = subprocess.check_output(["ssh-keygen", "-lf", str(sshd.folder / "host.pub")], text=True)
    assert fingerprint(sshd.host_key) == told.split()[1]


def test_another_key_than_the_registrys_is_told_before_anything_is_said(sshd: Sshd, monkeypatch) -> None:
    monkeypatch.setattr(paramiko.Transport, "auth_publickey", lambda *_: pytest.fail("it was let in"))
    said = refused(lambda: sshd.enter(pinned=KEY))
    assert fingerprint(sshd.host_key) in said and fingerprint(KEY) in said


def test_another_key_than_the_registrys_is_taken_once_a_person_has_compared_it(sshd: Sshd) -> None:
    for given in (fingerprint(sshd.host_key), sshd.host_key, f"{sshd.host_key} root@web-1\n"):
        sshd.enter(pinned=KEY, given=given).__exit__(None, None, None)
    for given in (fingerprint(KEY), KEY, "", "SHA256:"):
        assert "not the one that was given" in refused(partial(sshd.enter, sshd.host_key, given))


def test_who_cannot_get_in_is_told_what_to_look_at(sshd: Sshd, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    access = replace(sshd.access, key_file=str(tmp_path / "other"))
    judge = require_key("web-1", None, None)
    nothing = replace(access, key_file=None)
    assert "neither key nor password" in refused(lambda: RootAccess("web-1", nothing, judge))
    assert "does not take the access" in refused(lambda: RootAccess("web-1", access, judge))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = replace(access, port=nobody.getsockname()[1])
        unreached = refused(lambda: RootAccess("web-1", away, judge))
        assert "cannot be reached at 127.0.0.1" in unreached and "Errno" not in unreached


def test_a_server_without_the_kind_of_key_that_servers_know_each_other_by(tmp_path: Path) -> None:
    with running(tmp_path, host_key="ecdsa") as sshd:
        assert "type ssh-keygen -A there" in refused(sshd.enter)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("exit 127", "has no /usr/bin/python3"),
        ("echo Please log in as the user admin", "something else than it was asked to"),
        ("printf '\\033[2K0 3.11.2 x'", "something else than it was asked to"),
        ("head -c 200000 /dev/zero", "something else than it was asked to"),
        ("echo 1000 3.11.2", "is not root's"),
        ("echo 0 3.9.2", "Python 3.9.2, and the agent needs 3.11 or later"),
        ("exec 0<&-; exit 1", "something else than it was asked to"),
    ],
)
def test_what_answers_as_no_shell_of_roots(tmp_path: Path, command: str, sentence: str) -> None:
    with running(tmp_path, f"ForceCommand {command}") as sshd, sshd.enter() as root:
        assert sentence in refused(root.look)


@pytest.mark.parametrize(
    "said",
    ["", "{}", "[1]", '{"python": "3.11", "systemd": 1, "sshd": {}, "no_room": []}', "x" * 70_000, "[" * 50_000],
)
def test_what_is_no_answer_is_refused(sshd: Sshd, monkeypatch, said: str) -> None:
    with sshd.enter() as root:
        monkeypatch.setattr(root, "_require_root", lambda: None)
        monkeypatch.setattr(root, "_run", lambda *_: (0, said.encode()))
        assert "answers what no enrolment asks for" in refused(root.look)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [({"systemd": False}, "does not run systemd"), ({"no_room": ["/run", "\x1b[2K"]}, "has no room in /run")],
)
def test_a_server_on_which_no_agent_could_run(sshd: Sshd, monkeypatch, more, sentence: str) -> None:
    told = {"python": "3.11.2", "systemd": True, "sshd": {}, "no_room": []}
    with sshd.enter() as root:
        monkeypatch.setattr(root, "_require_root", lambda: None)
        monkeypatch.setattr(root, "_ask", lambda *_: told | more)
        assert sentence in refused(root.look)


def test_the_orchestrator_is_let_in_once(sshd: Sshd, tmp_path: Path, monkeypatch) -> None:
    """By the very file that runs on a server, there in a folder of its own."""
    source = Path(entrance.__file__).read_text()
    for name in ("KEYS", "LAUNCHER", "LOCK"):
        was = f'{name} = "{getattr(entrance, name)}"'
        assert was in source
        source = source.replace(was, f'{name} = "{tmp_path / name.lower()}"')
    alone = tmp_path / "entrance.py"
    alone.write_text(source)
    monkeypatch.setattr(entrance, "__file__", str(alone))
    (tmp_path / "keys").write_bytes(b"ssh-rsa AAAAB3 caf\xe9")
    with sshd.enter() as root:
        monkeypatch.setattr(root, "_require_root", lambda: None)
        assert root.look()["readiness"]["sshd"] is not None if os.path.isdir("/run/systemd/system") else True
        assert root.let_in(KEY) == [str(tmp_path / "launcher"), str(tmp_path / "keys")]
        assert root.let_in(KEY) == []
        assert (tmp_path / "keys").read_bytes().startswith(b"ssh-rsa AAAAB3 caf\xe9\nrestrict,command=")
        (tmp_path / "keys").write_text(f"{KEY} ops\n")
        assert "is known to web-1 with other rights" in refused(lambda: root.let_in(KEY))


@pytest.mark.parametrize(
    ("failed", "sentence"),
    [
        ("read_only", "has a read-only file system at /usr/local"),
        ("no_room", "has no room for /usr/local"),
        ("forbidden", "chattr -i"),
        ("Input/output error\x1b[2K", "cannot write /usr/local"),
        ("{name.__class__}", "cannot write /usr/local"),
    ],
)
def test_what_cannot_be_written_says_where_and_what_to_do(sshd: Sshd, monkeypatch, failed: str, sentence: str) -> None:
    with sshd.enter() as root:
        monkeypatch.setattr(root, "_ask", lambda *_: {"failed": failed, "where": "/usr/local/x\n"})
        assert sentence in refused(lambda: root.let_in(KEY))


@pytest.mark.parametrize(
    "command", ["while sleep 0.05; do printf x; done", "exec sleep 30", "sleep 30 & exec >&-; wait"]
)
def test_what_never_ends_is_given_up(tmp_path: Path, monkeypatch, command: str) -> None:
    monkeypatch.setattr(root_access, "_SECONDS", 0.5)
    began = time.monotonic()
    with running(tmp_path, f"ForceCommand {command}") as sshd, sshd.enter() as root:
        assert "was lost: it does not answer in time. Try again." in refused(root.look)
    assert time.monotonic() - began < 25
