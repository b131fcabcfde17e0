"""A grant in MariaDB is for a pattern of names: these are the databases that it covers."""

from __future__ import annotations

import pytest

from include.agent.stores.mariadb.sql import covered, covers

NAMES: dict[str, list[str]] = {"shop": [], "shop_a": [], "shop_b": [], "shopxa": [], "50%": [], "a\\b": []}


@pytest.mark.parametrize(
    "wildcard, names",
    [
        ("shop", ["shop"]),
        ("shop\\_a", ["shop_a"]),
        ("shop_a", ["shop_a", "shopxa"]),
        ("shop\\_%", ["shop_a", "shop_b"]),
        ("50\\%", ["50%"]),
        ("a\\\\b", ["a\\b"]),
        ("a\\\\_", ["a\\b"]),
        ("none", []),
        ("none%", []),
        ("%", [*NAMES]),
    ],
)
def test_what_a_grant_covers(wildcard: str, names: list[str]) -> None:
    assert covered(wildcard, NAMES) == names == [name for name in NAMES if covers(wildcard, name)]
