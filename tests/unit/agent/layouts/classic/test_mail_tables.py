"""What the host's Postfix and Dovecot find in our tables: of an account that was there before us, of one that came."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from include.agent.account import accounts
from include.agent.account.accounts import Account, State
from include.agent.host.system import Refused
from include.agent.layouts import mail_folders, mail_tables
from include.agent.layouts.classic import led_dovecot, led_postfix, mail

HASH = "{SHA512-CRYPT}$6$salt$hash"
HERE, CAUGHT = "alice.example", "caught.example"
NEW = "10.20.0.21"
SERVING, HELD = State("serving", 1), State("held", 2)
MOVED = State("moved", 2, to=NEW, released=True)
ALICE = Account.from_json(
    {
        "account": "alice",
        "uid": 2001,
        "gid": 2001,
        "home": "/var/www/clients/client1/web1",
        "mail": {
            "domains": [HERE, CAUGHT],
            "mailboxes": [{"address": f"{name}@{HERE}", "password_hash": HASH} for name in ("info", "kept", "O'Neil")],
            "forwarders": [
                {"address": f"team@{HERE}", "to": ["x@else.example", f"info@{HERE}"]},
                {"address": f"kept@{HERE}", "to": [f"kept@{HERE}", "x@else.example"]},
                {"address": f"@{CAUGHT}", "to": [f"info@{HERE}"]},
            ],
        },
    }
)


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for module, name in ((accounts, "STATE"), (accounts, "CONFIG")):
        monkeypatch.setattr(module, name, tmp_path / name.lower())
    ALICE.directory.mkdir(parents=True)
    return tmp_path


@pytest.fixture
def adopted() -> None:
    (ALICE.directory / "adopted").touch()


def table(name: str, state: State) -> dict[str, str]:
    rows = [line.split(" ", 1) for line in mail.tables([(ALICE, state)])[name].splitlines()]
    assert len({key for key, _ in rows}) == len(rows), rows
    return dict(rows)


def logins(name: str, state: State) -> dict[str, list[str]]:
    lines = mail.tables([(ALICE, state)])[name].replace("\\'", "'").splitlines()
    return {line.split(":")[0]: line.split(":")[1:] for line in lines}


def test_an_account_that_was_there_before_us_is_in_no_table_while_it_serves(adopted: None) -> None:
    assert {*mail.tables([(ALICE, SERVING)]).values()} == {""}


@pytest.mark.parametrize(("state", "way"), [(HELD, f"retry:{mail_tables.WAIT}"), (MOVED, f"transhumance:[{NEW}]:25")])
def test_held_or_moved_nothing_of_the_hosts_own_tables_counts(adopted: None, state: State, way: str) -> None:
    known = {f"{name}@{HERE}" for name in ("info", "kept", "o'neil", "team")}
    assert table("transport", state) == dict.fromkeys((HERE, CAUGHT, *known), way)
    # Each address stands for itself, so that the host's table of aliases is not asked, and neither is a catch-all's.
    assert table("aliases", state) == {each: each for each in (f"team@{HERE}", f"kept@{HERE}", f"@{CAUGHT}")}
    assert {*table("domains", state)} == {HERE, CAUGHT}, "which are none of forwarders alone, meanwhile"
    assert known | {f"@{CAUGHT}"} <= {*table("mailboxes", state)}


@pytest.mark.parametrize("state", [HELD, MOVED])
def test_nobody_logs_in_here_by_the_hosts_own_tables_meanwhile(adopted: None, state: State) -> None:
    """Dovecot asks them after a wrong password, so ours takes any, and the log-in goes to nobody or to the new server;
    whoever sends mail is asked for a password all the same."""
    where = "host=127.0.0.1 port=9" if state is HELD else f"host={NEW} starttls=any-cert"
    for address, fields in logins("passwd", state).items():
        assert fields[0] == "" and fields[-1] == f"nopassword=y proxy=y {where}", address
    assert logins("senders", state) == {}


def test_an_account_that_came_has_all_its_lines(server: Path) -> None:
    assert table("transport", SERVING) == {
        HERE: led_postfix.INTO,
        CAUGHT: "transhumance:[127.0.0.1]:26",
        f"team@{HERE}": "transhumance:[127.0.0.1]:26",
        f"kept@{HERE}": "transhumance:[127.0.0.1]:26",
    }
    assert table("aliases", SERVING)[f"kept@{HERE}"] == f"/kept@{HERE}, x@else.example"
    home = f"{ALICE.home}/mail/{HERE}/O'Neil"
    assert logins("passwd", SERVING)[f"o'neil@{HERE}"] == [HASH, "2001", "2001", "", home, "", ""]
    senders = {f"{name}@{HERE}" for name in ("info", "kept", "o'neil")}
    assert {*logins("senders", SERVING)} == {*logins("senders", HELD)} == senders
    assert all(fields[0] == HASH and fields[-1] == "" for fields in logins("senders", SERVING).values())
    assert logins("senders", MOVED) == {}


def test_every_sign_of_a_mailbox_is_one_of_a_log_in() -> None:
    line = next(line for line in led_dovecot._FOR_ALL.splitlines() if line.startswith("auth_username_chars"))
    signs = {*line.partition(" = ")[2]}
    for address in logins("passwd", SERVING):
        assert {*address} <= signs
    assert {*"#$&'*+/=?^_`{|}~.-@"} <= signs


def test_unprepare_leaves_no_account_without_its_mail(server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone: list[str] = []
    monkeypatch.setattr(led_postfix, "let_go", lambda: gone.append("postfix"))
    monkeypatch.setattr(led_dovecot, "let_go", lambda: gone.append("dovecot"))
    accounts.save(ALICE)
    accounts.put_state("alice", SERVING)
    with pytest.raises(Refused, match="Only our tables say where mail of alice goes: move it home"):
        mail.take_away()
    (ALICE.directory / "adopted").touch()
    mail.take_away()
    assert gone == ["postfix", "dovecot"]
    accounts.put_state("alice", HELD)
    with pytest.raises(Refused):
        mail.take_away()


@pytest.mark.parametrize("led_before", [False, True])
def test_dovecot_is_let_go_again_if_postfix_cannot_be_led(
    server: Path, monkeypatch: pytest.MonkeyPatch, led_before: bool
) -> None:
    done: list[str] = []

    def refuse() -> None:
        raise Refused("command_failed", "postfix check failed.")

    ours = server / "00-transhumance.conf"
    if led_before:
        ours.touch()
    monkeypatch.setattr(led_dovecot, "OURS", ours)
    for module in (led_dovecot, led_postfix):
        monkeypatch.setattr(module, "is_here", lambda: True)
    monkeypatch.setattr(led_dovecot, "lead_here", lambda: done.append("led"))
    monkeypatch.setattr(led_dovecot, "let_go", lambda: done.append("let go"))
    monkeypatch.setattr(led_postfix, "lead_here", refuse)
    monkeypatch.setattr(mail, "_write_tables", lambda: True)
    with pytest.raises(Refused):
        mail.lay_down()
    assert done == (["led"] if led_before else ["led", "let go"])


def boxes_outside() -> Account:
    """One in the mail system's folder, one of another layout and with a quota, one with a quota alone, a usual one."""
    mailboxes: list[dict[str, Any]] = [
        {"address": f"info@{HERE}", "place": {"maildir": f"/var/vmail/{HERE}/info"}},
        {
            "address": f"kept@{HERE}",
            "place": {"maildir": f"/var/vmail/{HERE}/kept/Maildir", "home": f"/var/vmail/{HERE}/kept", "layout": "fs"},
            "quota": {"bytes": 1 << 30, "messages": 0},
        },
        {"address": f"O'Neil@{HERE}", "quota": {"messages": 1000}},
        {"address": f"usual@{HERE}"},
    ]
    with_passwords = [box | {"password_hash": HASH} for box in mailboxes]
    mail = ALICE.to_json()["mail"] | {"mailboxes": with_passwords}
    return Account.from_json({**ALICE.to_json(), "mail": mail})


def test_dovecot_is_told_where_mailboxes_lie_that_came_and_how_much_they_hold(
    server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = boxes_outside()
    monkeypatch.setattr(mail_folders, "owner_of", lambda folder: (5000, 8) if folder == f"/var/vmail/{HERE}" else None)
    tables = mail.tables([(alice, SERVING)])
    assert tables["users-2.3"].splitlines() == [
        f"info@{HERE}::5000:8::/var/vmail/{HERE}/info::userdb_mail=maildir:/var/vmail/{HERE}/info",
        *(
            f"{before}kept@{HERE}::5000:8::/var/vmail/{HERE}/kept::"
            f"userdb_mail=maildir:/var/vmail/{HERE}/kept/Maildir:LAYOUT=fs"
            f" userdb_quota_rule=*:bytes={1 << 30}:messages=0"
            for before in ("", "/")
        ),
        f"o\\'neil@{HERE}::2001:2001::{ALICE.home}/mail/{HERE}/O'Neil::userdb_mail=maildir:~/Maildir"
        " userdb_quota_rule=*:messages=1000",
    ]
    maildir = f"/var/vmail/{HERE}/kept/Maildir"
    assert tables["users-2.4"].splitlines()[1] == (
        f"kept@{HERE}::5000:8::/var/vmail/{HERE}/kept::userdb_mail_driver=maildir userdb_mail_path={maildir}"
        f" userdb_mail_inbox_path={maildir} userdb_mailbox_list_layout=fs"
        f" userdb_quota_storage_size={1 << 30} userdb_quota_message_count=unlimited"
    )
    for state in (HELD, MOVED):
        assert {mail.tables([(alice, state)])[name] for name in led_dovecot.USERS} == {""}
    (alice.directory / "adopted").touch()
    assert {*mail.tables([(alice, SERVING)]).values()} == {""}


def test_a_folder_that_is_not_what_it_was_takes_no_other_mailbox_away(
    server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(folder: str) -> tuple[int, int]:
        raise FileNotFoundError(folder)

    monkeypatch.setattr(mail_folders, "owner_of", gone)
    tables = mail.tables([(boxes_outside(), SERVING)])
    assert [line.split("@")[0] for line in tables["users-2.3"].splitlines()] == ["o\\'neil"]


def test_dovecot_asks_for_them_first_in_both_releases(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for release in ("2.3", "2.4"):
        text = led_dovecot.content(release)
        assert text.index(f"/mail/users-{release}") < text.rindex("/mail/passwd")
    monkeypatch.setattr(led_dovecot, "OURS", tmp_path / "ours")
    alice = boxes_outside()
    for before in (None, led_dovecot.content("2.3").replace("users-2.3", "x")):
        if before is not None:
            led_dovecot.OURS.write_text(before)
        with pytest.raises(Refused, match="prepare this server again"):
            mail.make_folders(alice)
    made: list[str] = []
    monkeypatch.setattr(mail_folders, "make", lambda account, owner: made.append(account.name))
    led_dovecot.OURS.write_text(led_dovecot.content("2.4"))
    mail.make_folders(alice)
    assert made == ["alice"]


@pytest.mark.parametrize(("dovecot", "postfix"), [(False, False), (False, True)])
def test_a_server_without_mailboxes_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, server: Path, dovecot: bool, postfix: bool
) -> None:
    monkeypatch.setattr(led_dovecot, "is_here", lambda: dovecot)
    monkeypatch.setattr(led_postfix, "is_here", lambda: postfix)
    monkeypatch.setattr(led_postfix, "KEPT", server / "none")
    monkeypatch.setattr(mail, "_write_tables", lambda: pytest.fail("nothing reads them"))
    mail.lay_down()
    mail.render(certificates=True)


def test_mailboxes_whose_mail_comes_otherwise_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(led_dovecot, "is_here", lambda: True)
    monkeypatch.setattr(led_postfix, "is_here", lambda: False)
    with pytest.raises(Refused, match="their mail does not come by Postfix"):
        mail.lay_down()


def test_the_mail_servers_reach_their_tables_whatever_the_agent_may_give_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(mail, "_MAIL", tmp_path / "etc" / "mail")
    monkeypatch.setattr(mail, "RUNTIME", tmp_path)
    monkeypatch.setattr(mail, "all_accounts", list)
    monkeypatch.setattr(mail.grp, "getgrnam", lambda _: SimpleNamespace(gr_gid=os.getgid()))
    monkeypatch.setattr(os, "fchown", lambda *_: None)
    before = os.umask(0o077)
    try:
        assert mail._write_tables()
    finally:
        os.umask(before)
    assert (tmp_path / "etc" / "mail").stat().st_mode & 0o777 == 0o755
    tables = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "etc" / "mail").iterdir()}
    assert tables and all(mode == (0o640 if name in mail._PASSWORDS else 0o644) for name, mode in tables.items())
