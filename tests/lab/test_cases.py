"""The inputs of public bug reports move, each with the right answer on the new server, or say what stands in their way.

Those of one engine share an account and a move; those of files are an account each, as they fill its home.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from include import catalogue
from tests.lab.agents import Side, side
from tests.lab.cases.case import INPUTS, Case, find, numbers
from tests.lab.cases.run import Outcome, World
from tests.lab.handles import Lab

ENTRY = catalogue.load()["infrastructure-2026"]
AS_TOLD = ("setpriv", "--reuid=5900", "--regid=5900", "--clear-groups")
BY_HAND = {
    "25": "12,000 tables take minutes: 500 in tests/lab/test_stock_hosts.py",
    "27": "PostGIS is not on the lab's servers: an extension of its kind in tests/lab/test_unusual_tables.py",
    "75": "the lab's servers have neither at nor sessions of users: tests/unit",
    "81": "it is of a zone, not of a server: tests/dags",
    "89": "a value of 600 MB takes 3 GB of memory: two of 270 MB in tests/lab/test_unusual_tables.py",
    "93": "its servers run without a binary log: tests/lab/test_stock_hosts.py",
}
"""What this module does not move, with the reason; `python -m tests.lab.cases NUMBER` tries one."""
REPORTED: dict[str, tuple[str, ...]] = {
    "13": ("US/Eastern", "US/Pacific"),
    "14": ("US/Central.*|in_office", "Asia/Calcutta|person"),
    "46": ("find_by", "find_local", "find_temp", "both_names"),
    "47": ("format_bytes", "uuid_v7", "json_key_value"),
    "53": ("database acct53_db: has 1 table of InnoDB",),
    "73": ("php8.2", "bin/job", "python3.11", "/usr/lib/postgresql/15"),
    "77": ("array_find",),
    "79": ("US/Eastern",),
    "87": ("have the same key",),
    "l5": ("ALTER TABLE public.imported OWNER TO",),
    "l7": ("FILE",),
}
"""What the new server cannot give, or another way: patterns of what the test's report says, each of one line."""
REFUSED: dict[str, str] = {
    "13": "is refused by the new server",
    "87": "have the same key",
    "l5": "ALTER TABLE public.imported OWNER TO",
}
"""What cannot move, with what is said of it."""
ANOTHER: dict[str, str] = {
    # tests/lab/test_around_the_data.py and the unit tests of the checks show what the reports say of these.
    "14": 'time zone "US/Central" not recognized',
    "46": "Illegal mix of collations",
    "47": "2.00 KiB",
    "53": "1",
    "63": "lsattr: command not found",
    "73": "127 127 127",
    "l7": "GRANT ALL PRIVILEGES",
}
"""What is another answer on the new server, as the test's report says beforehand: a part of it."""
TOLD: dict[str, str] = {
    "04": "what postgres makes there later",
    "29": "what monitoring may do with",
    "36": "view acct36_db.leftover is broken",
    "l6": "view acctl6_db.seen runs as root@localhost here",
    "l7": "the global privilege FILE is not carried",
}
"""What is not carried, and told: a part of the sentence."""
APART: dict[str, str] = {
    "04": "DEFAULT ACL .* of postgres",
    "29": "ACL .* of acct29.*monitoring|monitoring",
    "36": "leftover",
    # The definer that is gone, or is the host's root, is a user of the account now.
    "39": "routines for database|view `doubled`",
    "58": "view `sizes`",  # the function is named with its database
    "l6": "table `t`|view `seen`",
    "l7": "grants of",
    "71": "file \\. differs",  # its program has made its socket anew
}
"""What other code finds different of a case, rightly: a pattern of its sentences."""


def of(engine: str) -> list[Case]:
    cases = [find(number) for number in numbers(".sql", ".sh") if number not in BY_HAND]
    return [case for case in cases if case.engine == engine and case.number not in REFUSED]


@pytest.fixture(scope="module")
def sides(lab: Lab) -> Iterator[tuple[Side, Side]]:
    with lab.fresh("2022", "2026") as servers:
        old, new = servers
        yield side(lab, old), side(lab, new)


class Moves:
    """What became of each case; those that share a move are moved when the first of them is asked for."""

    def __init__(self, sides: tuple[Side, Side]) -> None:
        self.sides = sides
        self.found: dict[str, Outcome | Exception] = {}

    def of(self, case: Case) -> Outcome:
        if case.number not in self.found:
            group = of(case.engine) if case.engine != "files" else [case]
            self.found |= dict.fromkeys((one.number for one in group), self._moved(group))
        outcome = self.found[case.number]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _moved(self, group: list[Case]) -> Outcome | Exception:
        try:
            world = World(*self.sides, group)
            world.fill()
            return world.move(f"cases-{group[0].number}")
        except Exception as error:  # each of the group's tests tells it
            return error


@pytest.fixture(scope="module")
def moves(sides: tuple[Side, Side]) -> Moves:
    return Moves(sides)


ALL = [case for engine in ("postgres", "mariadb", "files") for case in of(engine)]


@pytest.mark.parametrize("case", ALL, ids=[f"{case.number} {case.title[:50]}" for case in ALL])
def test_it_moves_right(moves: Moves, case: Case) -> None:
    outcome = moves.of(case)
    assert outcome.refused is None
    after = outcome.after[case.number]
    if case.number in ANOTHER:
        assert ANOTHER[case.number] in after
    else:
        assert after == outcome.before.get(case.number, case.expect)
    if case.number in TOLD:
        assert any(TOLD[case.number] in sentence for sentence in outcome.left), outcome.left
    mine = [one for one in outcome.apart if case.engine == "files" or re.search(rf"\b{case.login}(\b|_)", one)]
    wrong = [one for one in mine if case.number not in APART or not re.search(APART[case.number], one)]
    assert wrong == []


@pytest.mark.parametrize("number", REFUSED)
def test_what_cannot_move_is_told_by_the_test(sides: tuple[Side, Side], number: str) -> None:
    world = World(*sides, [find(number)])
    world.fill()
    outcome = world.move(f"refused-{number}")
    assert outcome.refused is not None and REFUSED[number] in outcome.refused.message


@pytest.fixture(scope="module")
def told(lab: Lab) -> Iterator[list[str]]:
    """The report of a test of an account that has all that is reported, on servers without the others."""
    with lab.fresh("2022", "2026") as servers:
        old, new = (side(lab, one) for one in servers)
        world = World(old, new, [find(number) for number in REPORTED], "told", 5900)
        world.fill()
        old.root(*AS_TOLD, "mkdir", "-p", "/home/told/public_html")
        for name in ("77-php-polyfill-other-order.php", "79-php-timezone.php"):
            old.root(*AS_TOLD, "tee", f"/home/told/public_html/{name}", stdin=(INPUTS / name).read_bytes())
        yield world.test("told", ENTRY.checks())


@pytest.mark.parametrize("number", REPORTED)
def test_the_report_tells(told: list[str], number: str) -> None:
    for pattern in REPORTED[number]:
        assert any(re.search(pattern, line) for line in told), "\n".join(told)
