"""What a server says of an account reaches the other one as it was said: nothing of its file is left on the way."""

from __future__ import annotations

from typing import Any

import pytest

from include.agent.account import accounts
from include.agent.account.accounts import Account
from include.agent.host.codec import decode
from include.agent.verbs.described import Entry
from include.moves.channel import databases_only
from tests.support.two_servers import statement

FILES: list[dict[str, Any]] = [
    {"extras": ["/etc/logrotate.d/alice"]},
    {"provisioned": True},
    {"ports": {"ssh": 20003}},
    {"home": "/var/www/clients/client1/" + "alice/" * 4 + "web"},
    {"sites": [{"domain": "alice.example", "aliases": ["www.alice.example"], "root": None, "app": "/live"}]},
]


def entry(account: Account) -> dict[str, Any]:
    """As `describe` gives it."""
    nothing = {"state": "serving", "epoch": 1, "move": None, "to": None, "released": False, "since": 1.0}
    counted = {"crontab_lines": 0, "home_bytes": 0, "files": 0, "mailboxes": [], "certificates": [], "forwarded": {}}
    told = account.to_json()
    engines = {"engines": {}, "postgresql": told["postgresql"], "mariadb": told["mariadb"]}
    return {"account": account.name, "sites": told["sites"], "account_file": told, **nothing, **counted, **engines}


@pytest.mark.parametrize("more", FILES, ids=lambda more: next(iter(more)))
def test_an_account_file_is_told_whole(more: dict[str, Any]) -> None:
    account = Account.from_json({**statement("alice"), **more})
    described: dict[str, Any] = decode(Entry, entry(account))
    assert Account.from_json(described["account_file"]) == account


def test_of_databases_alone_the_hosts_files_stay() -> None:
    more = {"extras": ["/etc/logrotate.d/alice"], "provisioned": True, "mariadb": {"databases": ["alice"]}}
    file = Account.from_json({**statement("alice"), **more}).to_json()
    alone = Account.from_json(databases_only(file, "mariadb"))
    assert (alone.extras, alone.provisioned, alone.mariadb_databases) == ((), False, ("alice",))


def test_every_key_of_an_account_file_is_tried() -> None:
    tried = {key for more in FILES for key in Account.from_json({**statement("alice"), **more}).to_json()}
    assert tried == {*accounts._KEYS}
