"""Where a mailbox lies, and how much it may hold, as an account file says what Dovecot is told."""

from __future__ import annotations

from typing import Any

import pytest

from include.agent.layouts.classic.reading import boxes
from include.agent.layouts.classic.reading.inhabitants import inhabitants
from include.agent.verbs.discovered import Discovered, Mailbox

from .laid import laid, silent

SHOP = Discovered(name="shop", uid=1001, gid=1001, home="/home/shop", shell="/bin/sh")
INFO = "info@shop.example"


def told(folder: str, home: str = "", owner: int | None = 5000, address: str = INFO) -> tuple[Any, list[str]]:
    said: list[str] = []
    box = Mailbox(address=address, password_hash="", folder=folder, home=home, owner=owner)
    return boxes.place(box, SHOP, {1002}, lambda sentence, _kind: said.append(sentence)), said


@pytest.mark.parametrize(
    ("folder", "home", "place"),
    [
        ("maildir:/var/vmail/shop.example/info", "", ("/var/vmail/shop.example/info",) * 2),
        ("/var/mail/vhosts/shop.example/info/", "", ("/var/mail/vhosts/shop.example/info",) * 2),
        (
            "maildir:/home/vmail/shop.example/info/Maildir",
            "/home/vmail/shop.example/info",
            ("/home/vmail/shop.example/info/Maildir", "/home/vmail/shop.example/info"),
        ),
        (f"maildir:/var/vmail/{INFO}", "/var/vmail", (f"/var/vmail/{INFO}",) * 2),
        (
            "maildir:/var/vmail/vmail1/shop.example/i/n/f/info-2020/Maildir/:INDEX=/var/vmail/vmail1/shop.example/i/n/f"
            "/info-2020/Maildir/",
            "/var/vmail/vmail1/shop.example/i/n/f/info-2020/",
            (
                "/var/vmail/vmail1/shop.example/i/n/f/info-2020/Maildir",
                "/var/vmail/vmail1/shop.example/i/n/f/info-2020",
            ),
        ),
        ("maildir:/srv/mail/shop.example/info", "/nonexistent", ("/srv/mail/shop.example/info",) * 2),
        ("maildir:/home/shop/Maildir", "/home/shop", ("/home/shop/Maildir",) * 2),
    ],
)
def test_where_messages_lie_goes_into_the_account_file(folder: str, home: str, place: tuple[str, str]) -> None:
    found, said = told(folder, home, 1001 if folder.startswith("maildir:/home/shop/") else 5000)
    assert said == [] and (found["maildir"], found["home"]) == place


@pytest.mark.parametrize("home", ["", "/home/shop/mail/shop.example/info"])
def test_the_usual_place_is_not_said(home: str) -> None:
    assert told("maildir:/home/shop/mail/shop.example/info/Maildir", home, 1001) == (None, [])
    assert told("") == (None, [])


@pytest.mark.parametrize(
    ("folder", "owner", "sentence"),
    [
        ("mdbox:/var/vmail/shop.example/info", 5000, "are kept as mdbox; only Maildir goes over"),
        ("maildir:/var/vmail/info", 5000, "lie in /var/vmail/info, which does not say whose they are"),
        ("maildir:/var/vmail/other.example/info", 5000, "which does not say whose they are"),
        ("maildir:/shop.example/info", 5000, "which does not say whose they are"),
        ("maildir:/etc/shop.example/info", 5000, "cannot lie in '/etc/shop.example/info'"),
        ("maildir:/var/lib/mysql/shop.example", 5000, "cannot lie in"),
        ("maildir:/var/vmail/shop.example/../other.example", 5000, "cannot lie in"),
        ("maildir:/var/vmail/shop.example/%{x}", 5000, "cannot lie in"),
        ("maildir:/var/vmail/shop.example/in fo", 5000, "cannot lie in"),
        ("maildir:/home", 5000, "cannot lie in"),
        ("maildir:/var/vmail/shop.example/info:INDEX=/var/index", 5000, "set out by INDEX=/var/index"),
        ("maildir:/var/vmail/shop.example/info:LAYOUT=index", 5000, "set out by LAYOUT=index"),
        ("maildir:/var/vmail/shop.example/info", 1002, "belong to the user 1002, not to shop"),
        ("maildir:/var/vmail/shop.example/info", 0, "belong to the user 0, not to shop"),
        ("maildir:/home/shop/Maildir", 5000, "belong to the user 5000, not to shop"),
    ],
)
def test_what_does_not_go_over_is_one_sentence(folder: str, owner: int, sentence: str) -> None:
    _, said = told(folder, owner=owner)
    assert len(said) == 1 and sentence in said[0] and said[0].isprintable() and INFO in said[0]


@pytest.mark.parametrize(
    ("given", "quota"),
    [
        ("*:storage=1G", {"bytes": 1 << 30}),
        ("*:storage=512000", {"bytes": 512000 << 10}),
        ("*:storage=500M:messages=1000", {"bytes": 500 << 20, "messages": 1000}),
        ("*:bytes=1073741824", {"bytes": 1 << 30}),
        ("*:bytes=5", {"bytes": 5}),
        ("*:storage=0", {"bytes": 0}),
        ("storage=2GB", {"bytes": 2 << 30}),
        ("1G", {"bytes": 1 << 30}),
        ("1073741824", {"bytes": 1 << 30}),
        ("", None),
    ],
)
def test_a_quota_goes_over(given: str, quota: dict[str, int] | None) -> None:
    said: list[str] = []
    box = Mailbox(address=INFO, password_hash="", folder="", quota=given)
    assert boxes.quota(box, lambda sentence, _kind: said.append(sentence)) == quota and said == []


@pytest.mark.parametrize(
    "given", ["Trash:storage=+100M", "*:storage=10%", "*:bytes=", "*:ignore", "x", "*:bytes=9" * 9]
)
def test_a_quota_that_is_not_understood_is_one_sentence(given: str) -> None:
    said: list[str] = []
    box = Mailbox(address=INFO, password_hash="", folder="", quota=given)
    assert boxes.quota(box, lambda sentence, _kind: said.append(sentence)) is None
    assert said == [f"The quota {given} of the mailbox {INFO} is not understood; say it as *:storage=1G."]


def test_dovecot_2_4_says_of_one_where_it_lies_by_other_words(tmp_path: Any) -> None:
    more = "userdb_mail_path=~/M userdb_quota_storage_size=2G"
    users = f"{INFO}:{{CRYPT}}$6$a$b:5000:5000::/var/vmail/shop.example/i::{more}"
    server = laid(
        tmp_path,
        **{
            "etc/passwd": "shop:x:1001:1001::/home/shop:/bin/sh\n",
            "etc/apache2/apache2.conf": "<VirtualHost *>\nServerName shop.example\nDocumentRoot /home/shop/w\n"
            "</VirtualHost>",
            "etc/dovecot/users": users,
            "etc/dovecot/dovecot.conf": "".join(
                f"{section} file {{\n driver = passwd-file\n passwd_file_path = /etc/dovecot/users\n}}\n"
                for section in ("passdb", "userdb")
            ),
        },
    )
    (shop,) = inhabitants(server, {}, silent).accounts
    assert shop.account_file is not None
    (box,) = shop.account_file["mail"]["mailboxes"]
    assert box["place"] == {"maildir": "/var/vmail/shop.example/i/M", "home": "/var/vmail/shop.example/i"}
    assert box["quota"] == {"bytes": 2 << 30}


@pytest.mark.parametrize(
    ("location", "folder"),
    [
        ("maildir:/var/vmail/%d/%n", "/var/vmail/shop.example/info"),
        ("maildir:/var/mail/vhosts/%d/%n/", "/var/mail/vhosts/shop.example/info"),
        ("maildir:/home/vmail/%Ld/%Ln/Maildir", "/home/vmail/shop.example/info/Maildir"),
        ("maildir:/var/vmail/%u", "/var/vmail/info@shop.example"),
        ("maildir:/srv/vmail/%0.1d/%d/%n", "/srv/vmail/s/shop.example/info"),
        ("maildir:/var/vmail/%{user | domain | lower}/%{user|username}", "/var/vmail/shop.example/info"),
        ("maildir:/var/vmail/%{user}", "/var/vmail/info@shop.example"),
    ],
)
def test_what_dovecot_is_told_for_all_is_carried_for_each(location: str, folder: str, tmp_path: Any) -> None:
    server = laid(
        tmp_path,
        **{
            "etc/passwd": "shop:x:1001:1001::/home/shop:/bin/sh\nvmail:x:5000:5000::/var/vmail:/bin/false\n",
            "etc/apache2/apache2.conf": "<VirtualHost *>\nServerName shop.example\nDocumentRoot /home/shop/w\n"
            "</VirtualHost>",
            "etc/postfix/main.cf": "virtual_mailbox_domains = shop.example\nvirtual_uid_maps = static:5000\n",
            "etc/dovecot/users": "info@shop.example:{CRYPT}$6$a$b::::::userdb_quota_rule=*:storage=2G\n",
            "etc/dovecot/dovecot.conf": f"mail_location = {location}\nmail_uid = vmail\n"
            "passdb {\n driver = passwd-file\n args = /etc/dovecot/users\n}\n"
            "userdb {\n driver = passwd-file\n args = /etc/dovecot/users\n}\n",
        },
    )
    (shop,) = inhabitants(server, {}, silent).accounts
    assert shop.account_file is not None
    (box,) = shop.account_file["mail"]["mailboxes"]
    assert (box["place"]["maildir"], box["quota"]) == (folder, {"bytes": 2 << 30})
    assert not [sentence for sentence in shop.unfit if "messages" in sentence or "quota" in sentence]
