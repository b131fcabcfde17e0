"""A server tells who lives on it; an account whose home lies elsewhere moves as any other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from include.agent import verbs
from include.agent.account.accounts import Account
from include.agent.host.codec import decode
from include.agent.verbs.discovered import Inhabitants
from tests.lab.agents import PAGE, Move, Side, account_file, get, side, visitors

HOME = "/srv/www/clients/shop-1"
UID = 70001
STATEMENT = {**account_file("shop", UID), "home": HOME, "shell": "/bin/sh"}
DATABASES = "CREATE DATABASE shop_wp; CREATE USER shop_wp@localhost IDENTIFIED BY 'x'; GRANT ALL ON `shop\\_wp`.* TO"
PSQL = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "psql", "-Xq")


@pytest.fixture(scope="module")
def sides(lab) -> Iterator[tuple[Side, Side]]:
    with lab.fresh("2022", "2026") as servers:
        old, new = (side(lab, one) for one in servers)
        old.host.call(verbs.Create(account_file=STATEMENT))
        as_account = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")
        old.root(*as_account, "mkdir", "-p", f"{HOME}/public_html")
        old.root(*as_account, "tee", f"{HOME}/public_html/index.php", stdin=PAGE)
        old.root(*as_account, "chmod", "-R", "a+rX", f"{HOME}/public_html")
        yield old, new


def test_who_lives_there_is_read_from_configuration_and_engines(sides) -> None:
    old, _ = sides
    for database in ("shop", "theirs"):
        old.root(*PSQL, "-c", f"CREATE ROLE {database} LOGIN", "-c", f"CREATE DATABASE {database} OWNER {database}")
    old.root("mariadb", "-e", f"{DATABASES} shop_wp@localhost")
    found = decode(Inhabitants, old.host.run("look", verbs.Discover()))
    (shop,) = found.accounts
    assert (shop.name, shop.uid, shop.home, shop.shell) == ("shop", UID, HOME, "/bin/sh")
    assert [(site.names, site.root, site.served_by) for site in shop.sites] == [
        (["shop.example"], f"{HOME}/public_html", "nginx")
    ]
    assert shop.databases == {
        "postgresql": {"roles": ["shop"], "databases": ["shop"]},
        "mariadb": {"users": [{"user": "shop_wp", "host": "localhost"}], "databases": ["shop_wp"]},
    }
    assert shop.account_file is not None
    assert Account.from_json(shop.account_file).home == HOME
    assert any("PostgreSQL database theirs is owned by theirs" in said for said in found.unclear)
    for database in ("shop", "theirs"):
        old.root(*PSQL, "-c", f"DROP DATABASE {database}", "-c", f"DROP ROLE {database}")
    old.root("mariadb", "-e", "DROP DATABASE shop_wp; DROP USER shop_wp@localhost")


def test_a_home_that_lies_elsewhere_moves_unnoticed_and_gives_no_rights(sides) -> None:
    old, new = sides
    move = Move("m1", 2, STATEMENT, old, new).prepare()
    with visitors(old.address, "shop.example", 1) as asking:
        move.switch()
    assert asking.failed == []
    assert get(new.address, "shop.example", 100_000) == 200
    seen = {int(line) for line in new.root("cat", f"{HOME}/visits").split()}
    assert {number for number, _, _ in asking.answers} | {100_000} <= seen
    assert new.root("stat", "-c", "%U %a", HOME, "/srv/www/clients").split() == ["shop", "710", "root", "755"]
    new.root("cp", "/usr/bin/id", f"{HOME}/id")
    new.root("chmod", "4755", f"{HOME}/id")
    as_nobody = ("setpriv", "--reuid=65534", f"--regid={UID}", "--clear-groups")
    assert "euid=0" not in new.root(*as_nobody, f"{HOME}/id")
    enabled = new.root("systemctl", "is-enabled", "transhumance-homes-srv-www-clients.service")
    assert enabled.strip() == "enabled"
