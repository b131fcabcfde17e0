"""What following words for MariaDB, and what it reads of a customer's definitions."""

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from include.agent.host.system import Refused
from include.agent.stores.mariadb import changes, load
from include.agent.stores.mariadb.binlog import Window
from include.agent.stores.mariadb.tables import Column, Reference, Table, matching

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


def quoted(name: str, quote: str = "`") -> str:
    return quote + name.replace(quote, quote * 2) + quote


@example("[0\x80", "0")
@given(text, text.filter(lambda words: "`" not in words))
def test_a_statement_that_names_a_table_is_seen(name: str, around: str) -> None:
    found = changes.named_in([name])
    for statement in (f"DROP TABLE {quoted(name)}", f"/* {around} */ ALTER TABLE x.{quoted(name)} ENGINE=MyISAM"):
        assert found.search(statement.encode())
    assert found.search(f"TRUNCATE TABLE {quoted(name, chr(34))}".encode())


@pytest.mark.parametrize(
    ("statement", "seen"),
    [
        (b"truncate posts", True),
        (b"ALTER TABLE shop.posts ADD x int", True),
        (b"RENAME TABLE a TO`posts`", True),
        (b"ALTER TABLE blog_posts ADD x int", False),
        (b"ALTER TABLE posts2 ADD x int", False),
        (b"ALTER TABLE POSTS ADD x int", False),
    ],
)
def test_a_name_is_found_as_a_word(statement: bytes, seen: bool) -> None:
    assert bool(changes.named_in(["posts"]).search(statement)) is seen


def made(name: str, engine: str) -> Table:
    return Table(("a", name), engine, 0, [])


@pytest.mark.parametrize(
    ("window", "whole"),
    [
        (Window(statements=[b"CREATE TABLE x(a int) COMMENT 'a t m'", b"TRUNCATE a.t"]), {("a", "m")}),
        (Window(statements=[b"UPDATE a.t SET id = 1"], as_statements=True), {("a", "t"), ("a", "m"), ("a", "i")}),
        (Window(), set()),
    ],
)
def test_no_text_of_a_statement_makes_a_table_go_over_whole(window: Window, whole: set) -> None:
    """What was defined anew has another print; only an engine without identities leaves it to the text."""
    tables = {("a", name): made(name, engine) for name, engine in (("t", "InnoDB"), ("i", "MyISAM"), ("m", "MEMORY"))}
    both: Any = None
    assert {*changes.changed_rows(both, window, tables, {}).whole} == whole


CREATE = """CREATE TABLE `odd ``name, KEY (` (
  `id` int(11) NOT NULL AUTO_INCREMENT COMMENT 'KEY `x` (`y`), it''s \\' (',
  `par``ent` int(11) DEFAULT NULL,
  `v` varchar(20) DEFAULT ',',
  PRIMARY KEY (`id`),
  UNIQUE KEY `u` (`v`),
  KEY `numbered` (`id`,`v`),
  KEY `refers` (`par``ent`),
  KEY `plain, ``one` (`v`(5)) COMMENT 'a, b) (',
  FULLTEXT KEY `f` (`v`),
  KEY `two` (`v`,`later`),
  CONSTRAINT `c` FOREIGN KEY (`par``ent`) REFERENCES `p` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB COMMENT='KEY `never` (`v`)'"""


def test_only_keys_that_nothing_rests_on_are_made_later() -> None:
    found = load.keys_to_put_off(CREATE)
    assert [name for name, _ in found] == ["plain, `one", "two"]
    assert found[0][1] == "KEY `plain, ``one` (`v`(5)) COMMENT 'a, b) ('"


@pytest.mark.parametrize(
    ("keys", "later"),
    [
        ("PRIMARY KEY (`id`), KEY `a` (`v`), KEY `b` (`v`, `id`), KEY `c` (`w`)", ["a", "b", "c"]),
        ("KEY `a` (`v`), KEY `b` (`id`), KEY `c` (`w`), KEY `d` (`v`)", ["c", "d"]),
        ("PRIMARY KEY (`v`, `id`), KEY `a` (`v`), KEY `b` (`id`), UNIQUE KEY `u` (`w`)", []),
    ],
)
def test_keys_that_are_made_later_keep_their_order(keys: str, later: list[str]) -> None:
    """What is added stands behind the keys that were there."""
    text = f"CREATE TABLE `t` (`id` int NOT NULL AUTO_INCREMENT, `v` int, `w` int, {keys}) ENGINE=InnoDB"
    assert [name for name, _ in load.keys_to_put_off(text)] == later


@given(st.sets(st.tuples(st.integers().map(str), st.integers().map(str)), max_size=1200))
def test_every_key_is_matched_once(keys: set) -> None:
    clauses = matching(["a", "b`"], keys)
    assert sum(clause.count(" AND ") for clause in clauses) == len(keys)
    assert all(clause.count(" AND ") <= 500 for clause in clauses)


def column(name: str, kind: str, charset: str | None = None, extra: str = "") -> Column:
    return Column(name, 0, kind, kind, charset, 10, 0, extra)


COMPUTED = "a column that the server computes"


@given(text, st.sampled_from(["varchar", "blob", "int", "float", "enum", "point", "uuid", "something_new"]))
def test_a_row_is_worded_as_literals(name: str, kind: str) -> None:
    table = Table(
        (name, name), "InnoDB", 0, [column(name, kind, "latin1"), column(COMPUTED, "int", None, "STORED GENERATED")]
    )
    worded = table.rows()
    assert quoted(name) in worded and COMPUTED not in worded
    if kind not in ("int", "float", "enum"):  # numbers alone stand as they are; all else is hexadecimal
        assert "HEX(" in worded
    insert = table.insert([b"(1)", b"(2)"])
    assert insert.endswith(b" VALUES (1),(2)") and re.match(rb"INSERT INTO `", insert)


def test_a_row_that_a_foreign_key_changed_leads_to_those_that_refer_to_it() -> None:
    reference = Reference(("d", "grandchildren"), ("child",), ("id",))
    child = Table(("d", "children"), "InnoDB", 0, [column("id", "int")], ("id",), [reference])
    found = changes.ToBring()
    waiting: dict[Reference, set[tuple[str, ...]]] = {}
    changes._refer(child, ["5", "5"], found, waiting)
    assert found.keys == {("d", "children"): {("5",)}} and waiting == {reference: {("5",)}}


@pytest.mark.parametrize(
    "row",
    [
        ["5) OR SLEEP(9", "5"],
        ["5", "(SELECT 1)"],
        ["5", "None"],
        ["X'zz'", "5"],
        ["'5'", "5"],
        ["5", "_utf8 'x'"],
        ["5\n", "5"],
        ["5"],
        ["5", "5", "5"],
    ],
)
def test_what_the_new_server_tells_of_keys_is_literals_or_refused(row: list[str]) -> None:
    reference = Reference(("d", "grandchildren"), ("child",), ("id",))
    child = Table(("d", "children"), "InnoDB", 0, [column("id", "int")], ("id",), [reference])
    with pytest.raises(Refused, match="keys of d.children are none"):
        changes._refer(child, row, changes.ToBring(), {})
    for good in ("NULL", "-5.25", "1e20", "1.5e-7", "X'00ff'", "_utf8mb4 X''"):
        changes._refer(child, [good, good], changes.ToBring(), {})
