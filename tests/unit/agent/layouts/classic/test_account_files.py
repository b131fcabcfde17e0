"""Who was found becomes an account file as far as that can say it; the rest is told, a sentence each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from include.agent import discover, layouts, protocol, verbs
from include.agent.account.accounts import Account
from include.agent.host.codec import decode, plain
from include.agent.layouts.classic.reading import account_files
from include.agent.layouts.classic.reading.databases import NONE, Owned, of_accounts
from include.agent.layouts.classic.reading.inhabitants import inhabitants
from include.agent.layouts.classic.reading.users import User
from include.agent.move import stores
from include.agent.verbs import discovered
from include.agent.verbs.discovered import Discovered, Inhabitants
from include.agent.verbs.verb import ORCHESTRATOR

from .laid import laid, silent

PHP = "[{user}]\nuser = {user}\nlisten = /run/php/{user}.sock\n"
HOST = """<VirtualHost *:80>
ServerName {user}.example
DocumentRoot {root}
<FilesMatch \\.php$>
SetHandler "proxy:unix:/run/php/{user}.sock|fcgi://localhost"
</FilesMatch>
{more}
</VirtualHost>
"""


def of_user(
    folder: Path, user: str, home: str, root: str, more: str = "", owned: Owned | None = None, **files: str
) -> Inhabitants:
    return inhabitants(
        laid(
            folder,
            **{
                "etc/passwd": f"{user}:x:1001:1001::{home}:/bin/bash\n",
                "etc/apache2/apache2.conf": HOST.format(user=user, root=root, more=more),
                "etc/php/8.2/fpm/php-fpm.conf": PHP.format(user=user),
                **files,
            },
        ),
        owned or {},
        silent,
    )


def only(found: Inhabitants) -> Discovered:
    (account,) = found.accounts
    return account


def test_an_account_that_can_be_said_is_said(tmp_path: Path) -> None:
    owned: dict[str, dict[str, list[Any]]] = {
        "postgresql": {"shop": ["shop"], "shop_old": ["shop_owner"], "theirs": ["shopping"], "none": []},
        "mariadb": {"wp": [{"user": "shop_wp", "host": "localhost"}, {"user": "bob", "host": "%"}]},
    }
    more = "ServerAlias www.shop.example\nProxyPass /live unix:/home/shop/app.sock|http://x/"
    found = of_user(tmp_path, "shop", "/home/shop", "/home/shop/public_html", more, owned)
    account = only(found)
    assert account.account_file is not None
    assert Account.from_json(account.account_file).to_json() == {
        "account": "shop",
        "uid": 1001,
        "gid": 1001,
        "home": "/home/shop",
        "shell": "/bin/bash",
        "sites": [{"domain": "shop.example", "aliases": ["www.shop.example"], "root": "public_html", "app": "/live"}],
        "postgresql": {"roles": ["shop", "shop_owner"], "databases": ["shop", "shop_old"]},
        "mariadb": {
            "users": [{"user": "shop_wp", "host": "localhost"}, {"user": "bob", "host": "%"}],
            "databases": ["wp"],
        },
        "mail": {"domains": [], "mailboxes": []},
    }
    assert account.unfit == [
        "/etc/apache2/apache2.conf, /etc/php/8.2/fpm/php-fpm.conf lie outside of the home and are not carried yet."
    ]
    assert found.unclear == [
        "The PostgreSQL database theirs is owned by shopping, who is no account here; write in"
        " /etc/transhumance/databases on the server whose it is (- if it is the host's own), the line: postgresql"
        " theirs ACCOUNT",
        "The PostgreSQL database none has no user of its own; write in /etc/transhumance/databases on the server whose"
        " it is (- if it is the host's own), the line: postgresql none ACCOUNT",
    ]
    assert decode(Inhabitants, plain(found)) == found


def test_what_an_account_file_cannot_say_is_told(tmp_path: Path) -> None:
    other = "[shop4]\nuser = shop\nlisten = /run/php/shop4.sock\n"
    more = "ServerAlias *.elsewhere.example\nProxyPass / http://127.0.0.1:3000/"
    found = of_user(
        tmp_path,
        "shop",
        "/home/shop",
        "/srv/shop",
        more,
        {},
        **{
            "etc/php/8.4/fpm/php-fpm.conf": other,
            "etc/crontab": "5 * * * * shop /home/shop/x\n",
            "etc/cron.d/both": "@daily root /root/x\n@daily shop /home/shop/x\n",
        },
    )
    assert [sentence for sentence in only(found).unfit if "outside of" not in sentence] == [
        "The site shop.example answers to every name of *.elsewhere.example; give it the name elsewhere.example too, or"
        " list those that are used.",
        "The site shop.example passes / at http 127.0.0.1:3000 on; a program is only reached at /home/shop/app.sock.",
        "The folder /srv/shop of the site shop.example is not below /home/shop; move it below the home.",
        "PHP of shop runs as the versions 8.2, 8.4; use one of them.",
        "/etc/crontab:1 is a line of cron; give it to the user's own crontab (crontab -u shop -e).",
        "/etc/cron.d/both:2 is a line of cron; give it to the user's own crontab (crontab -u shop -e).",
    ]
    file = only(found).account_file
    assert file is not None and file["sites"] == []


def test_all_names_below_one_of_the_sites_own_go_over(tmp_path: Path) -> None:
    more = "ServerAlias *.shop.example www.shop.example\n"
    shop = only(of_user(tmp_path, "shop", "/home/shop", "/home/shop/w", more, {}))
    assert shop.account_file is not None
    assert shop.account_file["sites"][0]["aliases"] == ["*.shop.example", "www.shop.example"]
    assert not [sentence for sentence in shop.unfit if "*" in sentence]


@pytest.mark.parametrize(
    ("below", "path"),
    [
        ("/live", "/live"),
        ("/live/", "/live"),
        ("= /visit.php", "/visit.php"),
        ("^~ /api", "/api"),
        ("", "/"),
        ("/", "/"),
        ("~ ^/(a|b)", "/"),
        ("~* \\.php$", "/"),
        ("@app", "/"),
        ("/a b", "/"),
        ("/\u00fc", "/"),
    ],
)
def test_a_program_has_its_path_or_the_whole_site(below: str, path: str) -> None:
    assert account_files._path_of(below) == path


def test_a_program_at_several_paths_has_the_whole_site(tmp_path: Path) -> None:
    more = "".join(f"ProxyPass {path} unix:/home/shop/app.sock|http://x{path}\n" for path in ("/api", "/live"))
    shop = only(of_user(tmp_path, "shop", "/home/shop", "/home/shop/w", more, {}))
    assert shop.account_file is not None and shop.account_file["sites"][0]["app"] == "/"


def test_a_file_of_crons_that_is_the_accounts_alone_goes_over(tmp_path: Path) -> None:
    lines = "MAILTO=me@shop.example\n\n# nightly\n*/5 * * * *\tshop\t/home/shop/x % y\n@daily shop php /home/shop/y\n"
    files = {"etc/cron.d/jobs": lines, "etc/cron.d/boot": "@reboot shop /home/shop/z\n"}
    shop = only(of_user(tmp_path, "shop", "/home/shop", "/home/shop/w", "", {}, **files))
    assert shop.account_file is not None and "/etc/cron.d/jobs" in shop.account_file["extras"]
    assert [sentence for sentence in shop.unfit if "cron" in sentence] == [
        "/etc/cron.d/boot:1: begins only when a server starts, which a move does not; give it to shop's own crontab"
        " (crontab -u shop -e), whose programs are begun anew.",
    ]


def test_the_verb_asks_the_engines_that_run_and_gives_what_its_types_say(tmp_path: Path, monkeypatch: Any) -> None:
    running, down = tmp_path / "running", tmp_path / "down"
    running.touch()
    first, second = stores.ENGINES
    monkeypatch.setattr(first, "socket", running)
    monkeypatch.setattr(second, "socket", down)
    monkeypatch.setattr(first, "owners", lambda: {"shop": ["shop"]})
    monkeypatch.setattr(first, "guests", lambda: {"shop": ["reader"]})
    monkeypatch.setattr(first, "passwords", dict)
    asked: list[Any] = []
    nobody = Inhabitants(accounts=[], unclear=[])

    def read(*said: Any) -> Inhabitants:
        asked.append(said)
        return nobody

    monkeypatch.setattr(layouts, "read_inhabitants", read)
    result = discover.discover(verbs.Discover(), lambda **_: None)
    assert asked == [({first.name: {"shop": ["shop"]}}, {first.name: {"shop": ["reader"]}}, {first.name: {}})]
    assert decode(discovered.Inhabitants, result) == nobody
    _, handler = protocol.LONG_VERBS.open_to(ORCHESTRATOR)["discover"]
    assert handler(verbs.Discover(), lambda **_: None) == result


def test_a_database_is_his_whose_name_its_owner_has(tmp_path: Path) -> None:
    owned: Owned = {
        "postgresql": {"a": ["shop_old_app"], "b": ["shop_app"], "c": ["shop_old"], "d": ["shopping"], "e": ["_"]},
        "mariadb": {"both": [{"user": "shop", "host": "%"}, {"user": "shop_old", "host": "%"}]},
    }
    tree = laid(tmp_path, **{"etc/passwd": ""})
    persons = {name: User(name, 1000 + n, 1000 + n, f"/home/{name}", "") for n, name in enumerate(["shop", "shop_old"])}
    found = of_accounts(persons, {}, owned, NONE, tree)
    assert {name: theirs["postgresql"]["databases"] for name, theirs in found.databases.items()} == {
        "shop_old": ["a", "c"],
        "shop": ["b"],
    }
    write = "write in /etc/transhumance/databases on the server whose it is (- if it is the host's own), the line:"
    several = (
        "The MariaDB database both is of several accounts: shop (by its user shop@%), shop_old (by its user"
        " shop_old@%); give each one of its own, or write in /etc/transhumance/databases on the server whose it is,"
    )
    assert tree.notes.sentences() == [
        f"The PostgreSQL database d is owned by shopping, who is no account here; {write} postgresql d ACCOUNT",
        f"The PostgreSQL database e is owned by _, who is no account here; {write} postgresql e ACCOUNT",
        f"{several} the line: mariadb both ACCOUNT",
    ]
    assert dict(found.unfit) == {
        name: [f"{several} such as the line: mariadb both {name}"] for name in ("shop", "shop_old")
    }


SITE = "etc/apache2/sites-enabled/shop.example.conf"


def with_site(folder: Path, more: str = "", root: str = "/home/shop") -> Discovered:
    site = HOST.format(user="shop", root=root, more=more)
    return only(
        inhabitants(
            laid(
                folder,
                **{
                    "etc/passwd": "shop:x:1001:1001::/home/shop:/bin/bash\n",
                    "etc/apache2/apache2.conf": "IncludeOptional sites-enabled/*.conf\n",
                    SITE: site,
                    "etc/php/8.2/fpm/php-fpm.conf": "include = /etc/php/8.2/fpm/pool.d/*.conf\n",
                    "etc/php/8.2/fpm/pool.d/shop.conf": PHP.format(user="shop"),
                    "etc/letsencrypt/live/shop.example/privkey.pem": "",
                },
            ),
            {},
            silent,
        )
    )


def test_the_hosts_files_of_an_account_are_its_extras(tmp_path: Path) -> None:
    """The home itself may be shown: the web server's own file goes over, and says so."""
    account = with_site(tmp_path)
    assert account.unfit == []
    assert account.account_file is not None and account.account_file["sites"] == [
        {"domain": "shop.example", "aliases": [], "root": None}
    ]
    assert account.account_file["extras"] == [f"/{SITE}", "/etc/php/8.2/fpm/pool.d/shop.conf"]


def test_what_may_not_go_over_stays_named(tmp_path: Path) -> None:
    account = with_site(tmp_path, 'CustomLog "|/usr/bin/x" combined')
    assert account.account_file is not None
    assert account.account_file["extras"] == ["/etc/php/8.2/fpm/pool.d/shop.conf"]
    assert account.unfit == [
        f"/{SITE}:7: customlog writes to '|/usr/bin/x' as root; name a file below /var/log that has shop or its domain"
        " in its name."
    ]


def test_a_file_of_several_accounts_is_none_of_theirs(tmp_path: Path) -> None:
    tree = laid(
        tmp_path,
        **{
            "etc/passwd": "a:x:1001:1001::/home/a:/bin/sh\nb:x:1002:1002::/home/b:/bin/sh\n",
            "etc/apache2/apache2.conf": "IncludeOptional sites-enabled/*.conf\n",
            "etc/apache2/sites-enabled/all.conf": "".join(
                f"<VirtualHost *:80>\nServerName {name}.example\nDocumentRoot /home/{name}/web\n</VirtualHost>\n"
                for name in "ab"
            ),
        },
    )
    for account in inhabitants(tree, {}, silent).accounts:
        assert account.unfit == [
            f"/etc/apache2/sites-enabled/all.conf, which has the site {account.name}.example, has those of other"
            " accounts too; give each a file of its own."
        ]
