"""Whose a database is: as the host says, by the names of its users, or by who keeps their passwords."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from include.agent.account.accounts import Account
from include.agent.layouts.classic.reading.databases import Evidence, Owned
from include.agent.layouts.classic.reading.inhabitants import inhabitants
from include.agent.layouts.classic.reading.named_in_files import Look, read
from include.agent.stores.mariadb import passwords as of_mariadb
from include.agent.verbs.discovered import Discovered, Inhabitants

from .laid import laid, silent

CONFIG = "<?php define('DB_NAME', 'wp');\ndefine( 'DB_USER', 'wp' );\ndefine( 'DB_PASSWORD', '{}' );\n"
SECRET = "s3cret; it's # \\hard"
FILE = "etc/transhumance/databases"
WRITE = "write in /etc/transhumance/databases on the server whose it is"


def native(password: str) -> dict[str, Any]:
    from hashlib import sha1

    hashed = sha1(sha1(password.encode("utf-8", "surrogateescape")).digest()).hexdigest().upper()
    return {"plugin": "mysql_native_password", "authentication_string": f"*{hashed}"}


def as_this_user(folder: str, uid: int, _gid: int, names: Any, not_below: Any, seconds: float) -> Look:
    """The look of the sandbox's program, without the sandbox."""
    return read(folder, names, uid, not_below, seconds)


def wp(*hosts: str, name: str = "wp") -> list[Any]:
    return [{"user": name, "host": host} for host in hosts or ("localhost",)]


def found(
    folder: Path,
    owned: Owned,
    kept: dict[str, dict[str, Any]],
    files: dict[str, str],
    guests: Owned | None = None,
) -> tuple[Inhabitants, dict[str, Discovered]]:
    """Three accounts with a site each, and these files."""
    site = "<VirtualHost *:80>\nServerName {0}.example\nDocumentRoot /home/{0}/web\n</VirtualHost>\n"
    passwd = "".join(f"web{n}:x:{1000 + n}:{1000 + n}::/home/web{n}:/bin/sh\n" for n in (1, 2, 3))
    sites = {f"etc/apache2/sites-enabled/web{n}.conf": site.format(f"web{n}") for n in (1, 2, 3)}
    main = {"etc/apache2/apache2.conf": "IncludeOptional sites-enabled/*.conf\n", "etc/passwd": passwd}
    tree = laid(folder, **(main | sites | files))
    locks: dict[str, Callable[[str], bool]] = {
        told: partial(of_mariadb.is_password, each) for told, each in kept.items() if of_mariadb.can_be_tried(each)
    }
    all_found = inhabitants(tree, owned, silent, Evidence(guests or {}, {"mariadb": locks}, as_this_user))
    return all_found, {account.name: account for account in all_found.accounts}


def lists(account: Discovered) -> Any:
    return (account.account_file or {}).get("mariadb")


def test_it_is_the_accounts_who_keeps_its_users_password(tmp_path: Path) -> None:
    written = SECRET.replace("\\", "\\\\").replace("'", "\\'")
    everything, accounts = found(
        tmp_path,
        {"mariadb": {"wp": wp("localhost", "127.0.0.1")}},
        {"wp@localhost": native(SECRET), "wp@127.0.0.1": native(SECRET)},
        {"home/web1/web/wp-config.php": CONFIG.format(written)},
    )
    assert lists(accounts["web1"]) == {"users": wp("localhost", "127.0.0.1"), "databases": ["wp"]}
    assert Account.from_json(accounts["web1"].account_file)
    assert all(account.unfit == [] for account in accounts.values())
    assert everything.unclear == []


def test_a_neighbours_name_without_the_password_gives_nothing_and_is_told(tmp_path: Path) -> None:
    everything, accounts = found(
        tmp_path,
        {"mariadb": {"wp": wp()}},
        {"wp@localhost": native(SECRET)},
        {
            "home/web2/web/wp-config.php": CONFIG.format("guess"),
            "home/web3/web/index.php": "<?php require 'wp-content/wp_load.php'; // swp, wp2 and wp_ are no wp-names",
        },
    )
    assert lists(accounts["web2"]) is None
    (sentence,) = accounts["web2"].unfit
    assert sentence.endswith(
        "/home/web2/web/wp-config.php names the MariaDB database wp, which is nobody's and would stay behind;"
        f" {WRITE}, the line: mariadb wp web2 (- in the place of web2 if it is the host's own)"
    )
    assert accounts["web1"].unfit == accounts["web3"].unfit == []
    assert everything.unclear == [
        "The MariaDB database wp is owned by wp@localhost, who is no account here, and whose password was found in no"
        f" account's files (files of web2 name it); {WRITE} (- if it is the host's own), the line: mariadb wp ACCOUNT"
    ]


def test_of_two_who_keep_the_password_neither_is_fit_without_a_persons_word(tmp_path: Path) -> None:
    files = {f"home/web{n}/.env": f"DB_USERNAME=wp\nDB_PASSWORD={SECRET}\n" for n in (1, 2)}
    owned: Owned = {"mariadb": {"wp": wp()}}
    kept = {"wp@localhost": native(SECRET)}
    everything, accounts = found(tmp_path / "before", owned, kept, files)
    for name in ("web1", "web2"):
        assert lists(accounts[name]) is None
        assert accounts[name].unfit == [
            "The MariaDB database wp is of several accounts: web1 (by its user wp@localhost), web2 (by its user"
            f" wp@localhost); give each one of its own, or {WRITE}, such as the line: mariadb wp {name}"
        ]
    assert len(everything.unclear) == 1 and accounts["web3"].unfit == []
    everything, accounts = found(tmp_path / "after", owned, kept, files | {FILE: "# whose\n\nmariadb wp web2\n"})
    assert lists(accounts["web2"]) == {"users": wp(), "databases": ["wp"]}
    assert lists(accounts["web1"]) is None and everything.unclear == []
    assert all(account.unfit == [] for account in accounts.values())


def test_the_hosts_own_database_is_no_accounts_and_nobody_is_asked_again(tmp_path: Path) -> None:
    everything, accounts = found(
        tmp_path,
        {"mariadb": {"the mail": wp(name="mailer")}},
        {},
        {FILE: "mariadb the mail -\n", "home/web1/x.ini": "[x]\nname = the mail\n"},
    )
    assert everything.unclear == [] and all(account.unfit == [] for account in accounts.values())


def test_lines_that_cannot_be_meant_are_told_with_file_and_line(tmp_path: Path) -> None:
    said = "mysql wp web1\nmariadb wp\nmariadb wp nobody\nmariadb gone web1\nmariadb wp web1\nmariadb wp web2\n"
    everything, accounts = found(tmp_path, {"mariadb": {"wp": wp()}}, {}, {FILE: said})
    form = "a line is made of postgresql or mariadb, a database and an account (or -); write it so."
    assert everything.unclear == [
        f"/{FILE}:1: {form}",
        f"/{FILE}:2: {form}",
        f"/{FILE}:3: the MariaDB database wp is said to be of nobody, who is no account here; name one, or -.",
        f"/{FILE}:4: there is no MariaDB database gone here; take the line away.",
        f"/{FILE}:6: the MariaDB database wp was said to be of web1 above; leave one of the lines.",
    ]
    assert lists(accounts["web1"]) == {"users": wp(), "databases": ["wp"]}


def test_what_others_than_root_may_write_says_nothing(tmp_path: Path) -> None:
    from include.agent.layouts.classic.reading import said_databases

    tree = laid(tmp_path, **{FILE: "mariadb wp web1\n"})
    os.chmod(tree.on_disk(f"/{FILE}"), 0o664)
    assert said_databases.read(tree, {"mariadb": {"wp": []}}, ["web1"]) == {}
    assert tree.notes.sentences() == [
        f"/{FILE} is not read, because others than root may change it: chown root /{FILE}; chmod 644 /{FILE}."
    ]


def test_who_has_rights_in_an_accounts_databases_alone_goes_with_them(tmp_path: Path) -> None:
    """The application's user, one that only reads, one for a table, and one of several databases of the account."""
    owned = {"mariadb": {"wp": [*wp(), *wp("%", name="reader")], "forum": wp()}}
    everything, accounts = found(
        tmp_path,
        owned,
        {"wp@localhost": native("x-1"), "reader@%": native("x-2")},
        {"home/web1/web/config.inc": '$user = "wp"; $pw = "x-1";'},
        guests={"mariadb": {"wp": wp(name="table"), "forum": []}},
    )
    users = [*wp(), *wp("%", name="reader"), *wp(name="table")]
    assert lists(accounts["web1"]) == {"users": users, "databases": ["wp", "forum"]}
    assert everything.unclear == [] and accounts["web1"].unfit == []


def test_a_user_of_two_accounts_databases_goes_with_none_and_who_uses_it_is_told(tmp_path: Path) -> None:
    owned = {"mariadb": {"a": [*wp(), *wp(name="dump")], "b": [*wp(), *wp(name="dump")]}}
    files = {f"home/web{n}/.env": "DB_USER=wp\nDB_PASS=x-1\n" for n in (1, 2)}
    said = "mariadb a web1\nmariadb b web2\n"
    everything, accounts = found(tmp_path, owned, {"wp@localhost": native("x-1")}, files | {FILE: said})
    for name in ("web1", "web2"):
        assert accounts[name].unfit == [
            "The MariaDB user wp@localhost has rights in databases of web1, web2 and in others, so it goes with none of"
            f" them; give {name} one of its own."
        ]
    assert everything.unclear == [
        "The MariaDB user dump@localhost has rights in databases of web1, web2 and in others, so it goes with none of"
        " them; give each one of its own that needs it."
    ]


def test_one_name_at_two_hosts_is_two_users(tmp_path: Path) -> None:
    owned = {"mariadb": {"a": wp("localhost"), "b": wp("10.0.0.%")}}
    files = {f"home/web{n}/.env": f"DB_USER=wp\nDB_PASS=x-{n}\n" for n in (1, 2)}
    kept = {"wp@localhost": native("x-1"), "wp@10.0.0.%": native("x-2")}
    _, accounts = found(tmp_path, owned, kept, files)
    assert lists(accounts["web1"]) == {"users": wp("localhost"), "databases": ["a"]}
    assert lists(accounts["web2"]) == {"users": wp("10.0.0.%"), "databases": ["b"]}


def test_a_person_who_has_nothing_here_gets_no_database_by_the_beginning_of_a_name_that_another_keeps(
    tmp_path: Path,
) -> None:
    """Panels' admin_shop on a host whose own login is admin."""
    kept = {"admin_shop@localhost": native("x-1")}
    owned = {"mariadb": {"admin_shop": wp(name="admin_shop"), "admin_old": wp(name="admin_old")}}
    admin = "admin:x:1100:1100::/home/admin:/bin/sh\n"
    passwd = f"web1:x:1001:1001::/home/web1:/bin/sh\n{admin}"
    files = {"etc/passwd": passwd, "home/web1/web/.env": "DB_USER=admin_shop\nDB_PASS=x-1\n"}
    _, accounts = found(tmp_path, owned, kept, files)
    assert lists(accounts["web1"]) == {"users": wp(name="admin_shop"), "databases": ["admin_shop"]}
    assert lists(accounts["admin"]) == {"users": wp(name="admin_old"), "databases": ["admin_old"]}


def test_files_that_could_not_all_be_looked_through_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from include.agent.layouts.classic.reading import named_in_files

    monkeypatch.setattr(named_in_files, "MAX_ENTRIES", 20)
    many = {f"home/web1/web/{n}/x_.ini": "" for n in range(30)}
    _, accounts = found(tmp_path, {"mariadb": {"wp": wp()}}, {}, many)
    assert accounts["web1"].unfit == [
        "Not all files of web1 could be looked through for the MariaDB databases that are nobody's, such as wp; write"
        " in /etc/transhumance/databases on the server whose each is (- if it is the host's own), such as the line:"
        " mariadb wp ACCOUNT"
    ]
    assert accounts["web2"].unfit == []
