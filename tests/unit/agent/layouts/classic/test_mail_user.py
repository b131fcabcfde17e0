"""The user for messages of a host's server, and the programs of his that are at one account's mailboxes."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from include.agent.account.accounts import Account
from include.agent.host.system import Refused
from include.agent.layouts import mail_folders
from include.agent.layouts.classic import mail_sessions, mail_user
from tests.support.account_files import changed

USER, OTHER = 54397, 54396


@pytest.mark.parametrize(
    ("dovecot", "postfix", "numbers"),
    [
        ("mail_gid = 8\nmail_uid = vmail\n", "", (5000, 8)),
        ("mail_uid = 5000\n", "", (5000, 5001)),
        ("userdb {\n  args = uid=vmail gid=mail home=/var/vmail/%d/%n\n  driver = static\n}\n", "", (5000, 8)),
        (
            "userdb static {\n  driver = static\n  fields {\n    gid = vmail\n    uid = vmail\n  }\n}\n",
            "",
            (5000, 5001),
        ),
        ("userdb {\n  args = /etc/x\n  driver = sql\n}\n", "static:5000", (5000, 5001)),
        ("", "hash:/etc/x", (5000, 5001)),
        ("mail_uid = root\n", "", (5000, 5001)),
        ("mail_uid = nobody-there\n", "", (5000, 5001)),
    ],
)
def test_the_servers_own_configuration_says_who_it_is(
    monkeypatch: pytest.MonkeyPatch, dovecot: str, postfix: str, numbers: tuple[int, int]
) -> None:
    said = {"doveconf": dovecot, "virtual_uid_maps": postfix, "virtual_gid_maps": ""}
    monkeypatch.setattr(
        mail_user,
        "run",
        lambda argv, **_: SimpleNamespace(stdout=said[argv[0] if argv[0] in said else argv[2]].encode()),
    )
    vmail = SimpleNamespace(pw_name="vmail", pw_uid=5000, pw_gid=5001)
    known = {"vmail": vmail, "5000": vmail, "root": SimpleNamespace(pw_name="root", pw_uid=0, pw_gid=0)}
    monkeypatch.setattr(mail_user, "_user", known.get)
    groups = {"mail": 8, "8": 8, "vmail": 5001}
    monkeypatch.setattr(mail_user, "_group", lambda name, usual: groups.get(name, usual))
    assert mail_user.numbers() == numbers
    said["doveconf"] = f"first_valid_uid = 5001\n{dovecot}"
    with pytest.raises(Refused, match="write first_valid_uid = 5000 into its configuration, where 5001 stands"):
        mail_user.numbers()
    known.clear()
    with pytest.raises(Refused, match="type useradd --uid 900"):
        mail_user.numbers()


def test_a_user_is_found_by_name_or_number() -> None:
    root = pwd.getpwnam("root")
    assert mail_user._user("root") == mail_user._user("0") == root
    assert mail_user._user("") is None and mail_user._user("9" * 30) is None and mail_user._user("²") is None
    assert mail_user._group("", 7) == mail_user._group("nobody-there", 7) == 7


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    folder = tmp_path / "alice.example"
    for each in (folder, tmp_path / "other.example"):
        each.mkdir()
        os.chown(each, USER, USER)
    for above in (tmp_path, *tmp_path.parents[:2]):
        above.chmod(0o755)
    monkeypatch.setattr("include.agent.account.mail_places._is_for_mail", lambda _path: True)
    monkeypatch.setattr(mail_sessions, "run", lambda *_, **__: None)
    box = {"address": "a@alice.example", "password_hash": "{CRYPT}x", "place": {"maildir": f"{folder}/a"}}
    return Account.from_json(changed(mail={"domains": ["alice.example"], "mailboxes": [box]}))


@pytest.fixture
def started() -> Iterator[Any]:
    running: list[subprocess.Popen[str]] = []

    def start(code: str, uid: int = USER, folder: Path | str = "/") -> subprocess.Popen[str]:
        program = f"import signal, sys, time\n{code}\nprint(flush=True)\ntime.sleep(60)"
        argv = [sys.executable, "-IS", "-c", program]
        process = subprocess.Popen(argv, user=uid, group=uid, extra_groups=[], cwd=folder, stdout=-1, text=True)
        assert process.stdout and process.stdout.readline() == "\n"
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@needs_root
def test_who_is_at_the_accounts_mailboxes_is_ended_and_nobody_else(account: Account, started: Any) -> None:
    (folder,) = account.mail_folders
    other = Path(folder).with_name("other.example")
    inside = started("", folder=folder)
    holding = started(f"f = open({folder + '/log'!r}, 'w')")
    stays = [started(f"f = open({str(other / 'log')!r}, 'w')", folder=other), started("", uid=OTHER, folder="/")]
    mail_sessions.end_all(account)
    assert (inside.wait(1), holding.wait(1)) == (-15, -15)
    assert [process.poll() for process in stays] == [None, None]
    began = time.monotonic()
    mail_sessions.end_all(account)
    assert time.monotonic() - began < 1


@needs_root
def test_one_that_does_not_end_by_itself_is_ended(
    account: Account, started: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_sessions, "_PATIENCE", 0.2)
    deaf = started("signal.signal(signal.SIGTERM, signal.SIG_IGN)", folder=account.mail_folders[0])
    mail_sessions.end_all(account)
    assert deaf.wait(1) == -9


@needs_root
def test_the_owner_is_whose_the_folder_is(account: Account) -> None:
    assert mail_folders.owner_of(account.mail_folders[0]) == (USER, USER)
