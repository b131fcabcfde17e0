"""What a server says of an account comes through whole: what the shape does not know would be left out."""

from __future__ import annotations

from include.agent.account import accounts
from include.agent.account.accounts import Account
from include.agent.verbs import described
from tests.support.account_files import changed

WHOLE = changed(
    home="/var/www/clients/client1/" + "alice/" * 4 + "web",
    sites=[
        {"domain": "alice.example", "aliases": ["www.alice.example"], "root": None},
        {"domain": "shop.example", "aliases": [], "root": "shop/" + "public/" * 10 + "html", "app": "/live"},
    ],
    extras=["/etc/apache2/sites-enabled/alice.conf", "/etc/letsencrypt/live/alice.example/privkey.pem"],
)


def test_an_account_file_comes_through_whole() -> None:
    statement = Account.from_json(WHOLE).to_json()
    assert described._ACCOUNT_FILE(statement) == statement
    part = Account.from_json({**changed(), "account": "alice.postgresql", "ports": {"postgresql": 23001}, **PART})
    assert described._ACCOUNT_FILE(part.to_json()) == part.to_json()
    assert {*statement, *part.to_json()} == {*accounts._KEYS}, "a key that this test does not know"


def test_sites_come_through_whole() -> None:
    for site in Account.from_json(WHOLE).to_json()["sites"]:
        assert described._SITE(site) == site


PART = {"sites": [], "mail": {"domains": [], "mailboxes": []}, "home": "/home/alice.postgresql"}
