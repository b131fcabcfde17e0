"""Which servers may take part in a migration."""

import re

import pytest

from include.moves.enrol import unfit, version
from include.moves.path import require_as_known, stated, without_secrets
from include.moves.servers import past, serving
from include.registry import Refused


def description(**more):
    well = {"infrastructure": "2026", "debian": "13", "versions": {"rsync": "3.5.0"}, "services_down": []}
    return {**well, "accounts": [], **more}


def test_what_was_ordered_fits():
    assert unfit("transit-1", "2026", description()) == []


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"debian": "12", "infrastructure": "2022"}, "runs infrastructure 2022 on Debian 12, not 2026 on Debian 13"),
        ({"versions": {"rsync": "3.4.1"}}, "rsync 3.4.1"),
        ({"versions": {"rsync": ""}}, "rsync"),
        ({"services_down": ["dovecot"]}, "does not run dovecot"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(more, sentence):
    found = unfit("transit-1", "2026", description(**more))
    assert len(found) == 1 and sentence in found[0]


@pytest.mark.parametrize(
    ("text", "numbers"), [("3.5.0", (3, 5, 0)), ("3.10.1-1+deb13u1", (3, 10, 1)), ("v3.5.0pre1", (3, 5, 0)), ("", ())]
)
def test_versions_are_compared_as_numbers(text, numbers):
    assert version(text) == numbers


def test_an_account_that_left_does_not_serve():
    states = ["serving", "held", "moved", "receiving"]
    accounts = [{"account": state, "state": state, "account_file": {"secret": 1}} for state in states]
    assert [one["account"] for one in serving({"accounts": accounts})] == ["serving", "held"]
    kept = without_secrets({"accounts": accounts, "debian": "13"})
    assert "secret" not in str(kept) and len(kept["accounts"]) == 4
    mail = {"domains": ["b.example", "a.example"], "mailboxes": [{"password_hash": "secret"}]}
    (kept,) = without_secrets({"accounts": [{"account": "x", "account_file": {"uid": 2001, "mail": mail}}]})["accounts"]
    assert kept == {"account": "x", "stated": {"uid": 2001, "mail_domains": ["a.example", "b.example"]}}


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
    with pytest.raises(Refused, match=re.escape(said)) as refused:
        require_as_known("x", "vps-1", known, file)
    assert str(refused.value).isprintable() and "confirm DSN x --by YOU" in str(refused.value)


def test_a_state_is_not_past_itself():
    assert past("rerouted", "accounts_moved")
    assert not past("rerouted", "rerouted")
    assert not past("checking", "rerouted")
    assert not past("failed", "checking")
