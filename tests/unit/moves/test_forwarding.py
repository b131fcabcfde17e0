"""What ops read of the old path."""

from datetime import UTC, datetime

import pytest

from include.moves.forwarding import sentences

NOW = datetime(2026, 11, 23, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ({}, "nothing has come by the old path."),
        ({"http": {"count": 0, "last": None}}, "nothing has come by the old path."),
        ({"http": {"count": 2, "last": None}}, "by the old path came 2 http."),
        (
            {
                "smtp": {"count": 3, "last": NOW.timestamp() - 7200},
                "http": {"count": 120, "last": NOW.timestamp() - 9000},
            },
            "by the old path came 120 http, 3 smtp; nothing since 2 h.",
        ),
        ({"imap": {"count": 1, "last": NOW.timestamp() - 5}}, "by the old path came 1 imap; nothing since 5 s."),
        ({"imap": {"count": 1, "last": NOW.timestamp() + 2}}, "by the old path came 1 imap; nothing since 0 s."),
    ],
)
def test_each_account_has_one_sentence(by, said):
    assert sentences({"shop": by}, NOW) == [f"shop: {said}"]
