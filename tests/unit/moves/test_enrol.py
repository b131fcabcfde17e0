"""Which servers may take part in a migration."""

import re

import pytest

from include.agent.host import needs
from include.agent.host.codec import plain
from include.catalogue import infrastructures
from include.moves.channel import entry_without_secrets, require_as_known, stated, without_secrets
from include.moves.requirements import Seen, unfit
from include.moves.servers import past, serving
from include.registry import RegistryRefused
from tests.support import described

VERSIONS = {
    "rsync": "3.5.0",
    **{name: f"{wanted}.6" for name, wanted in infrastructures.load()["2026"].programs.items()},
}


def description(**more):
    return described.description(**{"versions": VERSIONS, **more})


def seen(infrastructure, **more):
    return Seen("transit-1", infrastructure, plain(description(**more)))


def test_what_was_ordered_fits():
    assert unfit(seen("2026")) == []


def test_an_infrastructure_is_added_by_a_file_alone(tmp_path, monkeypatch):
    said = unfit(seen("2031", debian="15"))
    assert said == ["Nothing declares infrastructure 2031: write config/infrastructures/2031.yaml."]
    declared = dict.fromkeys(infrastructures.PROGRAMS, "9.0") | {"postgresql": "19"}
    programs = "".join(f"{name}: '{version}'\n" for name, version in declared.items())
    (tmp_path / "2031.yaml").write_text(f"layout: native\ndebian: '15'\nsuite: duke\n{programs}")
    monkeypatch.setattr(infrastructures, "FOLDER", tmp_path)
    new = {"rsync": "3.9.0", **{name: f"{version}.1" for name, version in declared.items()}}
    assert unfit(seen("2031", debian="15.1", versions=new)) == []
    (sentence,) = unfit(seen("2031"))
    assert "it runs Debian 13, not 15; postgresql 17.6, not 19;" in sentence


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"debian": "12"}, "is not of infrastructure 2026: it runs Debian 12, not 13"),
        ({"versions": VERSIONS | {"postgresql": "15.14"}}, "it runs postgresql 15.14, not 17"),
        ({"versions": VERSIONS | {"mariadb": "11.80.1"}}, "it runs mariadb 11.80.1, not 11.8"),
        ({"versions": VERSIONS | {"php": ""}}, "it runs php of no known version, not 8.4"),
        ({"versions": VERSIONS | {"rsync": "3.4.1"}}, "rsync 3.4.1"),
        ({"versions": VERSIONS | {"rsync": ""}}, "rsync"),
        ({"services_down": ["dovecot"]}, "does not run dovecot"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(more, sentence):
    found = unfit(seen("2026", **more))
    assert len(found) == 1 and sentence in found[0]


@pytest.mark.parametrize(
    ("text", "numbers"), [("3.5.0", (3, 5, 0)), ("3.10.1-1+deb13u1", (3, 10, 1)), ("v3.5.0pre1", (3, 5, 0)), ("", ())]
)
def test_versions_are_compared_as_numbers(text, numbers):
    assert needs.number(text) == numbers


def test_an_account_that_left_does_not_serve():
    states = ["serving", "held", "moved", "receiving"]
    accounts = [{"account": state, "state": state, "account_file": {"secret": 1}} for state in states]
    assert [one["account"] for one in serving(description(accounts=accounts))] == ["serving", "held"]
    kept = without_secrets(description(accounts=accounts, parts=accounts))
    assert "secret" not in str(kept) and len(kept.accounts) == len(kept.parts) == 4
    mail = {"domains": ["b.example", "a.example"], "mailboxes": [{"password_hash": "secret"}]}
    public = entry_without_secrets({"account": "x", "account_file": {"uid": 2001, "mail": mail}})
    assert public == {"account": "x", "stated": {"uid": 2001, "mail_domains": ["a.example", "b.example"]}}


@pytest.mark.parametrize(
    ("uid", "domains", "said"),
    [
        (2001, ["a.example"], None),
        (2001, [], None),
        (2001, ["a.example", "gmail.com"], "mail to 'gmail.com'"),
        (2001, ["A\x1b[2K"], "mail to 'A\\x1b"),
        (2002, ["a.example"], "the uid"),
        (None, ["a.example"], "the uid"),
    ],
)
def test_a_source_is_not_believed_that_other_mail_is_its_accounts(uid, domains, said):
    """Before the target is told anything; what is confirmed goes through."""
    known, file = {"uid": 2001, "mail_domains": ["a.example"]}, {"uid": uid, "mail": {"domains": domains}}
    for what in (None, stated(file)):
        require_as_known("x", "vps-1", what, file)
    if said is None:
        require_as_known("x", "vps-1", known, file)
        return
    with pytest.raises(RegistryRefused, match=re.escape(said)) as refused:
        require_as_known("x", "vps-1", known, file)
    assert str(refused.value).isprintable() and "confirm DSN x --by YOU" in str(refused.value)


def test_a_state_is_not_past_itself():
    assert past("rerouted", "accounts_moved")
    assert not past("rerouted", "rerouted")
    assert not past("checking", "rerouted")
    assert not past("failed", "checking")
