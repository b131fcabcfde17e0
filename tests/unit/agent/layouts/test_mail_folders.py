"""An account's folders among the mail system's: made for it, never another's, never by way of a link."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from include.agent.account import accounts
from include.agent.account.accounts import Account
from include.agent.host.system import Refused
from include.agent.layouts import mail_folders
from tests.support.account_files import changed

OWNER = (54399, 54398)
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The mail system's folder, below folders of root's."""
    monkeypatch.setattr(accounts, "STATE", tmp_path / "state")
    # Everything above is root's alone, as it is where mail lies; only what is below `mail` is looked at in earnest.
    looked = mail_folders._require_nobodys

    def require(account: Account, path: str, owner: tuple[int, int]) -> None:
        if path.startswith(str(tmp_path)):
            looked(account, path, owner)

    monkeypatch.setattr(mail_folders, "_require_nobodys", require)
    monkeypatch.setattr("include.agent.account.mail_places._is_for_mail", lambda _path: True)
    tmp_path.chmod(0o755)
    folder = tmp_path / "vmail"
    folder.mkdir(mode=0o770)
    folder.chmod(0o770)
    os.chown(folder, *OWNER)
    return folder


def account_in(*places: object, name: str = "alice", domain: str = "alice.example", **more: Any) -> Account:
    boxes = [
        {"address": f"b{number}@{domain}", "password_hash": "{CRYPT}x", "place": {"maildir": str(place)}}
        for number, place in enumerate(places)
    ]
    mail = {"domains": [domain], "mailboxes": boxes}
    return Account.from_json(changed(account=name, home=f"/home/{name}", mail=mail, **more))


def test_a_folder_is_made_for_the_mail_systems_user_and_once(mail: Path) -> None:
    alice = account_in(mail / "new" / "alice.example" / "b0", mail / "b1@alice.example")
    for _ in range(2):
        mail_folders.make(alice, lambda: OWNER)
    for folder in (mail / "new" / "alice.example", mail / "b1@alice.example"):
        status = folder.stat()
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (*OWNER, 0o700)
        assert mail_folders.owner_of(str(folder)) == OWNER
    assert (mail / "new").stat().st_uid == 0


def test_a_folder_of_the_servers_own_is_not_taken(mail: Path) -> None:
    (mail / "alice.example").mkdir()
    with pytest.raises(Refused, match="not known to be this account's"):
        mail_folders.make(account_in(mail / "alice.example" / "b0"), lambda: OWNER)
    os.chown(mail / "alice.example", *OWNER)
    # What was adopted, or made for it once, is.
    mail_folders.record(account_in(mail / "alice.example" / "b0"))
    mail_folders.make(account_in(mail / "alice.example" / "b0"), lambda: OWNER)


@pytest.mark.parametrize("trick", ["link", "file", "deep link", "a customer's", "writable"])
def test_the_way_to_a_folder_is_root_s_or_the_mail_systems(mail: Path, trick: str) -> None:
    way = mail / "way"
    if trick == "link":
        way.symlink_to("/etc")
    elif trick == "file":
        way.write_text("")
    elif trick == "deep link":
        way.mkdir()
        (way / "alice.example").symlink_to("/etc")
    else:
        way.mkdir()
        os.chown(way, 2001 if trick == "a customer's" else 0, 0)
        way.chmod(0o777 if trick == "writable" else 0o755)
    with pytest.raises(Refused) as refused:
        mail_folders.make(account_in(way / "alice.example" / "b0"), lambda: OWNER)
    assert str(way) in refused.value.message and refused.value.message.isprintable()
    assert not Path("/etc/alice.example").exists()


def test_two_accounts_folders_and_homes_lie_apart(mail: Path) -> None:
    alice = account_in(mail / "alice.example" / "b0")
    inside = account_in(mail / "alice.example" / "bob.example", name="bob", domain="bob.example")
    for one, other in ((alice, inside), (inside, alice)):
        with pytest.raises(Refused, match="has its files here"):
            mail_folders.require_apart(one, other)
    mail_folders.require_apart(alice, account_in(mail / "bob.example" / "b0", name="bob", domain="bob.example"))
    at_home = account_in("/home/bob/alice.example/b0")
    for one, other in ((at_home, account_in(name="bob")), (account_in(name="bob"), at_home)):
        with pytest.raises(Refused, match="has its files here"):
            mail_folders.require_apart(one, other)


def test_only_what_is_the_accounts_is_removed(mail: Path) -> None:
    alice = account_in(mail / "alice.example" / "b0", mail / "b1@alice.example")
    mail_folders.record(account_in(mail / "alice.example" / "b0"))
    for name in ("alice.example", "b1@alice.example"):
        (mail / name).mkdir()
    emptied: list[Any] = []
    mail_folders.remove(alice, lambda _account, folders: emptied.append(folders))
    assert emptied == [(str(mail / "alice.example"),)]
    assert [path.name for path in mail.iterdir()] == ["b1@alice.example"]


def test_messages_of_roots_are_no_mailboxes(mail: Path) -> None:
    (mail / "alice.example").mkdir()
    with pytest.raises(Refused, match="is root's"):
        mail_folders.owner_of(str(mail / "alice.example"))
