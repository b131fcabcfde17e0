"""`adopt_accounts`: who lives on a server is found, and those who were named are adopted as they are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include import registry
from tests.dags.hosting import Hosting
from tests.dags.steps import step

FILE = {"account": "web1", "uid": 5001, "gid": 5001, "home": "/var/www/clients/client1/web1"}
SITE = {
    **{"names": ["herders.example", "www.herders.example"], "served_by": "Apache", "behind": [], "certificates": []},
    **{"root": "/var/www/clients/client1/web1/web", "place": "/etc/apache2/sites-enabled/herders.example.conf:1"},
}


def inhabitant(name: str, **more: Any) -> dict[str, Any]:
    account = {"name": name, "uid": 5001, "gid": 5001, "home": f"/var/www/clients/client1/{name}", "shell": "/bin/bash"}
    boxes = [{"address": f"info@{name}.example", "password_hash": "{CRYPT}secret", "folder": ""}]
    return {**account, "sites": [SITE], "mailboxes": boxes, "account_file": {**FILE, "account": name}, **more}


@pytest.fixture
def filled(hosting: Hosting) -> Hosting:
    """web-1 has web1, who is fit, and web2, who is not."""
    hosting.inhabitants = {
        "accounts": [inhabitant("web1"), inhabitant("web2", unfit=["The pool of web2 listens at a port."])],
        "unclear": ["The file /etc/cron.d/backup is nobody's."],
    }
    return hosting


def run(dags: Any, task: str, *accounts: str, server: str = "web-1") -> list[str]:
    params = {"server": server, "accounts": [*accounts], "requested_by": "anna"}
    return step(dags["adopt_accounts"], task, params=params, run_id="manual__2026-11-30T04:00:00+00:00")


def test_who_lives_there_is_kept_without_passwords(dags: Any, filled: Hosting) -> None:
    assert run(dags, "discover") == [
        "web1: it can be adopted.",
        "web2: The pool of web2 listens at a port.",
        "The file /etc/cron.d/backup is nobody's.",
    ]
    kept = registry.certain(registry.discovery(filled.conn, "web-1"))
    assert [(each["name"], each["hosts"], each["unfit"]) for each in kept.accounts] == [
        ("web1", ["herders.example", "www.herders.example"], []),
        ("web2", ["herders.example", "www.herders.example"], ["The pool of web2 listens at a port."]),
    ]
    assert kept.unclear == ["The file /etc/cron.d/backup is nobody's."]
    assert "secret" not in json.dumps(kept.accounts)
    assert run(dags, "adopt") == [] and "web1" not in filled.servers["web-1"].accounts, "it was only looked"


def test_those_who_were_named_are_adopted_and_known(dags: Any, filled: Hosting) -> None:
    run(dags, "discover")
    for _ in range(2):
        assert run(dags, "adopt", "web1")[0] == "web1 is adopted on web-1."
    assert filled.servers["web-1"].accounts["web1"]["state"] == "serving"
    assert registry.account(filled.conn, "web1").server == "web-1"
    assert len([each for each in filled.started if each.startswith("discover-")]) >= 1


@pytest.mark.parametrize(
    ("accounts", "why"),
    [
        (("web1", "web2"), "web2 cannot be adopted yet. The pool of web2 listens at a port."),
        (("web1", "web9"), "No account web9 was found on web-1: type python -m cli discover web-1"),
    ],
)
def test_one_that_cannot_be_adopted_keeps_all_from_it(
    dags: Any, filled: Hosting, accounts: tuple[str, ...], why: str
) -> None:
    with pytest.raises(AirflowFailException, match=why):
        run(dags, "adopt", *accounts)
    assert "web1" not in filled.servers["web-1"].accounts


def test_an_answer_that_is_none_is_refused(dags: Any, filled: Hosting) -> None:
    filled.inhabitants = {"accounts": [{"name": "web1"}], "unclear": []}
    with pytest.raises(AirflowFailException, match="What answers discover on this server is not its agent"):
        run(dags, "discover")
    assert registry.discovery(filled.conn, "web-1") is None


def test_many_sentences_of_one_account_are_kept_as_one(dags: Any, filled: Hosting) -> None:
    filled.inhabitants["accounts"] = [inhabitant("web1", unfit=[f"Sentence {n}." for n in range(50)])]
    run(dags, "discover")
    kept = registry.certain(registry.discovery(filled.conn, "web-1"))
    assert len(kept.accounts[0]["unfit"]) == 21 and kept.accounts[0]["unfit"][-1] == "There are 30 more such sentences."
