"""Which servers may take part in a migration."""

import pytest

from include.moves.enrol import unfit, version
from include.moves.path import without_secrets
from include.moves.servers import past, serving


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


def test_a_state_is_not_past_itself():
    assert past("rerouted", "accounts_moved")
    assert not past("rerouted", "rerouted")
    assert not past("checking", "rerouted")
    assert not past("failed", "checking")
