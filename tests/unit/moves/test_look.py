"""Two looks at an account: what may differ and what may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.moves.look import uid_set, uids, worse

SITE = {"status": 200, "title": "a", "certificate": "c"}
BOX = {"uidvalidity": 7, "messages": 3, "uids": "1:2,9"}


def whole(**more):
    return {"urls": {"u": SITE}, "postgresql": {"s.t": 3}, "mysql": {"d.t": 3}, "imap": {"i/INBOX": BOX}, **more}


def test_the_same_look_is_no_worse():
    assert worse(whole(), whole()) == []


@pytest.mark.parametrize(
    "grown",
    [
        {"postgresql": {"s.t": 4, "s.new": 1}},
        {"mysql": {"d.t": 5}},
        {"imap": {"i/INBOX": {**BOX, "messages": 4, "uids": "1:2,9:10"}, "i/new": BOX}},
    ],
)
def test_visitors_may_have_written_meanwhile(grown):
    assert worse(whole(), whole(**grown)) == []


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"urls": {"u": {**SITE, "status": 503}}}, "answers with another status: 503, not 200"),
        ({"urls": {"u": {**SITE, "title": "b"}}}, "another title"),
        ({"urls": {"u": {**SITE, "certificate": "d"}}}, "another certificate"),
        ({"urls": {"u": {"error": "did not answer"}}}, "u cannot be read now (did not answer)"),
        ({"urls": {}}, "was not looked at"),
        ({"postgresql": {"s.t": 2}}, "has 2 rows, fewer than the 3 before"),
        ({"postgresql": {}}, "the table s.t is missing"),
        ({"mysql": {"error": "OperationalError"}}, "MariaDB does not let the account in"),
        ({"imap": {}}, "The mailbox i/INBOX is missing"),
        ({"imap": {"i/INBOX": {**BOX, "uidvalidity": 8}}}, "another UIDVALIDITY"),
        ({"imap": {"i/INBOX": {**BOX, "uids": "1,9:30"}}}, "lacks 1 of its 3 messages"),
        ({"imap": {"i/INBOX": {"error": "error"}}}, "cannot be read"),
    ],
)
def test_what_is_worse_is_said(changed, sentence):
    found = worse(whole(), whole(**changed))
    assert len(found) == 1 and sentence in found[0]


def test_what_could_not_be_seen_before_proves_nothing():
    failed = {"error": "TimeoutError"}
    before = whole(urls={"u": failed}, postgresql=failed, mysql=failed, imap={"i/INBOX": failed})
    assert worse(before, {"urls": {"u": failed}, "imap": {}}) == []


@given(st.lists(st.integers(1, 500)))
def test_a_set_of_uids_is_read_as_it_was_written(numbers):
    assert uids(uid_set(numbers)) == set(numbers)
