"""The catalogue: what ships is good; what is wrong is told with its file and line."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from include.catalogue import CatalogueError, Check, load
from include.catalogue.__main__ import main
from include.catalogue.checks import KINDS

GOOD = """\
title: MariaDB 12
kind: mariadb
from: 11.8
to: 12.10
mandatory: true
opens: 2026-09-01
deadline: 2026-10-01
page: |
  # What changes
  A little.
incompatibilities:
  - id: names
    title: A word that is reserved
    explanation: It stands in the way.
    fix: Rename it.
    severity: warning
    check:
      kind: mariadb_names
      words: [vector, uuid]
  - id: other
    title: Another thing
    explanation: Nobody can look for it.
    fix: Know it.
    severity: note
"""


def catalogue(folder: Path, **files: str) -> Path:
    """A catalogue of these files; `_` in their names stands for `-`."""
    for name, text in files.items():
        (folder / f"{name.replace('_', '-')}.yaml").write_text(text, encoding="utf-8")
    return folder


def wrong(folder: Path, text: str) -> str:
    """What is said of a catalogue of one such file."""
    with pytest.raises(CatalogueError) as caught:
        load(catalogue(folder, one=text))
    return str(caught.value)


def test_what_ships_is_good() -> None:
    entries = load()
    assert {name: (entry.kind, entry.from_version, entry.to_version) for name, entry in entries.items()} == {
        "infrastructure-2026": ("infrastructure", "2022", "2026"),
        "infrastructure-2026-classic": ("infrastructure", "2022-classic", "2026-classic"),
        "mariadb-11.8": ("mariadb", "10.11", "11.8"),
        "postgresql-17": ("postgresql", "15", "17"),
    }
    whole = {one.id for one in entries["infrastructure-2026"].incompatibilities}
    for engine in ("mariadb-11.8", "postgresql-17"):
        assert {one.id for one in entries[engine].incompatibilities} < whole
    assert {one.id for one in entries["infrastructure-2026-classic"].incompatibilities} == whole


def test_a_blocker_of_what_ships_can_be_looked_for() -> None:
    """What stops a move has to be found in the account; what is only known of the version stops nobody."""
    blockers = [one for entry in load().values() for one in entry.incompatibilities if one.severity == "blocker"]
    assert blockers
    assert all(one.check is not None for one in blockers)


def test_an_entry_is_read_as_it_was_written(tmp_path: Path) -> None:
    entry = load(catalogue(tmp_path, mariadb_12=GOOD))["mariadb-12"]
    assert (entry.title, entry.kind, entry.mandatory) == ("MariaDB 12", "mariadb", True)
    assert (entry.from_version, entry.to_version) == ("11.8", "12.10")
    assert (entry.opens, entry.deadline) == (date(2026, 9, 1), date(2026, 10, 1))
    assert entry.page == "# What changes\nA little."
    assert entry.incompatibilities[0].check == Check("mariadb_names", {"words": ["vector", "uuid"]})
    assert entry.incompatibilities[1].check is None
    assert entry.checks() == [{"id": "names", "kind": "mariadb_names", "words": ["vector", "uuid"]}]


WRONG = [
    ("title: MariaDB 12", "title:", 1, "empty"),
    ("title: MariaDB 12", "title: [a, b]", 1, "no text"),
    ("kind: mariadb", "kind: oracle", 2, "'oracle' is not known"),
    ("kind: mariadb", "sort: mariadb", 2, "'sort' is not known here"),
    ("from: 11.8", "from: eleven", 3, "no version"),
    ("to: 12.10", "to: 11.8", 4, "does not come after"),
    ("to: 12.10", "to: 11.10\nto: 12.0", 5, "stands here twice"),
    ("mandatory: true", "mandatory: yes", 5, "neither true nor false"),
    ("deadline: 2026-10-01\n", "", 5, "needs a deadline"),
    ("opens: 2026-09-01", "opens: 2026-09-31", 6, "no date"),
    ("deadline: 2026-10-01", "deadline: 2026-08-31", 7, "before the opening"),
    ("page: |\n  # What changes\n  A little.\n", "", 1, "'page' is missing"),
    ("page: |\n  # What changes\n  A little.\n", "page: ''\n", 8, "empty"),
    ("  - id: other", "  - id: names", 20, "the id 'names' is there twice"),
    ("  - id: other", "  - id: Other One", 20, "no id"),
    ("    fix: Know it.\n", "", 20, "'fix' is missing"),
    ("severity: note", "severity: disaster", 24, "'disaster' is not known"),
    ("kind: mariadb_names", "kind: mariadb_nouns", 18, "'mariadb_nouns' is not known"),
    ("      words: [vector, uuid]\n", "", 18, "'words' is missing"),
    ("words: [vector, uuid]", "words: []", 19, "no list with something in it"),
    ("words: [vector, uuid]", "words: [vector, vector]", 19, "twice"),
    ("words: [vector, uuid]", "words: ['a b']", 19, "no name"),
    ("words: [vector, uuid]", "words: [vector]\n      tables: [a]", 20, "'tables' is not known here"),
    ("title: MariaDB 12", "title: 'MariaDB", 9, "no YAML"),
    ("title: MariaDB 12", "title: !!python/name:os.system x", 1, "no text"),
]


@pytest.mark.parametrize(("old", "new", "line", "said"), WRONG)
def test_what_is_wrong_is_told_with_file_and_line(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    assert old in GOOD
    told = wrong(tmp_path, GOOD.replace(old, new, 1))
    assert told.startswith("one.yaml:")
    assert said in told
    if said != "no YAML":  # the parser's own idea of where a quote that never ends is wrong
        assert told.startswith(f"one.yaml:{line}:")


@settings(max_examples=40)
@given(
    added=st.integers(0, 40), key=st.from_regex(r"[a-z]{3,12}", fullmatch=True).filter(lambda word: word not in GOOD)
)
def test_the_line_is_right_wherever_it_is(tmp_path_factory: pytest.TempPathFactory, added: int, key: str) -> None:
    told = wrong(tmp_path_factory.mktemp("catalogue"), GOOD + "# a remark\n" * added + f"{key}: 1\n")
    assert told.startswith(f"one.yaml:{GOOD.count(chr(10)) + added + 1}: '{key}' is not known here")


@settings(max_examples=40)
@given(text=st.text(max_size=200))
def test_any_text_is_an_entry_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    told = wrong(tmp_path_factory.mktemp("catalogue"), text.encode("utf-8", "replace").decode())
    assert re.match(r"one\.yaml:\d+: .+\.\Z", told, re.DOTALL)


@settings(max_examples=40)
@given(version=st.lists(st.integers(0, 99), min_size=1, max_size=3).map(lambda parts: ".".join(map(str, parts))))
def test_a_version_is_a_text_with_or_without_quotes(tmp_path_factory: pytest.TempPathFactory, version: str) -> None:
    for written in (version, f'"{version}"'):
        text = GOOD.replace("from: 11.8", f"from: {written}").replace("to: 12.10", "to: 100")
        folder = catalogue(tmp_path_factory.mktemp("catalogue"), one=text)
        assert load(folder)["one"].from_version == version


def test_patterns_are_tried(tmp_path: Path) -> None:
    check = "      kind: mariadb_names\n      words: [vector, uuid]\n"

    def with_pattern(pattern: str) -> str:
        new = f"      kind: sql_text\n      engine: mariadb\n      patterns:\n        - pattern: '{pattern}'\n"
        return GOOD.replace(check, f"{new}          what: something\n")

    assert "one.yaml:21: this is no regular expression" in wrong(tmp_path, with_pattern("(a"))
    assert "one.yaml:21: this pattern fits everything" in wrong(tmp_path, with_pattern("a*"))
    found = load(catalogue(tmp_path, one=with_pattern(r"\bDES_\w+")))["one"].incompatibilities[0].check
    assert found == Check(
        "sql_text", {"engine": "mariadb", "patterns": [{"pattern": r"\bDES_\w+", "what": "something"}]}
    )


def test_charsets_or_collations_are_enough(tmp_path: Path) -> None:
    old = "kind: mariadb_names\n      words: [vector, uuid]"
    found = load(catalogue(tmp_path, one=GOOD.replace(old, "kind: mariadb_charset\n      charsets: [ucs2]")))["one"]
    assert found.checks() == [{"id": "names", "kind": "mariadb_charset", "charsets": ["ucs2"]}]
    assert "one.yaml:18: mariadb_charset needs something" in wrong(tmp_path, GOOD.replace(old, "kind: mariadb_charset"))


def test_an_entry_includes_others(tmp_path: Path) -> None:
    outer = GOOD.replace("names", "outer", 1).replace("id: other", "id: rest") + "includes: [inner]\n"
    loaded = load(catalogue(tmp_path, inner=GOOD, outer=outer))
    assert [one.id for one in loaded["outer"].incompatibilities] == ["outer", "rest", "names", "other"]
    assert loaded["inner"] == replace(loaded["inner"], incompatibilities=loaded["outer"].incompatibilities[2:])


def test_an_entry_includes_what_those_include(tmp_path: Path) -> None:
    files = {
        "inner": GOOD,
        "middle": GOOD.replace("id: ", "id: middle-") + "includes: [inner]\n",
        "outer": GOOD.replace("id: ", "id: outer-") + "includes: [middle]\n",
    }
    ids = [one.id for one in load(catalogue(tmp_path, **files))["outer"].incompatibilities]
    assert ids == ["outer-names", "outer-other", "middle-names", "middle-other", "names", "other"]


def test_entries_that_include_each_other_are_refused(tmp_path: Path) -> None:
    catalogue(tmp_path, two=GOOD.replace("id: ", "id: two-") + "includes: [one]\n")
    told = wrong(tmp_path, GOOD + "includes: [two]\n")
    assert told.startswith("two.yaml:") and "'one' includes itself in the end" in told


@pytest.mark.parametrize(("old", "new"), [("2022", "2026-classic"), ("2022-classic", "2026")])
def test_an_account_stays_in_its_layout(tmp_path: Path, old: str, new: str) -> None:
    text = GOOD.replace("kind: mariadb\n", "kind: infrastructure\n", 1)
    told = wrong(tmp_path, text.replace("11.8", old, 2).replace("12.10", new).replace("MariaDB " + old, "New"))
    assert "has the layout" in told and told.endswith(": lead to one of the same layout.")


@pytest.mark.parametrize(
    ("includes", "said"),
    [
        ("[nothing]", "there is no entry 'nothing'"),
        ("[one]", "'one' includes itself in the end"),
        ("[two, two]", "'two' is included twice"),
        ("[two]", "'two' has the id 'names' too"),
    ],
)
def test_what_cannot_be_included(tmp_path: Path, includes: str, said: str) -> None:
    catalogue(tmp_path, two=GOOD)
    line = GOOD.count("\n") + 1
    told = wrong(tmp_path, GOOD + f"includes: {includes}\n")
    assert told.startswith(f"one.yaml:{line}:") and said in told


def test_every_kind_of_check_that_ships_is_known_and_named_in_the_docs() -> None:
    shipped = {check["kind"] for entry in load().values() for check in entry.checks()}
    assert shipped <= set(KINDS)
    text = (Path(__file__).parents[3] / "docs" / "catalogue.md").read_text()
    assert [kind for kind in KINDS if f"`{kind}`" not in text] == []


def test_the_command_prints_a_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(catalogue(tmp_path, mariadb_12=GOOD)) == 0
    assert capsys.readouterr().out == (
        "mariadb-12: MariaDB 12 (mariadb 11.8 -> 12.10, mandatory until 2026-10-01),"
        " 2 incompatibilities, 1 of them checked\n"
    )
    assert main(catalogue(tmp_path, broken="title: x\n")) == 1
    assert capsys.readouterr().err.startswith("broken.yaml:1: ")
    assert main(tmp_path / "nowhere") == 1


def test_no_key_of_yaml_is_lost_by_reading_places(tmp_path: Path) -> None:
    """The reader of places agrees with PyYAML's own on what a good file says."""
    plain = yaml.safe_load(GOOD)
    entry = load(catalogue(tmp_path, one=GOOD))["one"]
    assert plain["page"].strip() == entry.page
    assert [one["id"] for one in plain["incompatibilities"]] == [one.id for one in entry.incompatibilities]
    assert (plain["opens"], plain["deadline"]) == (entry.opens, entry.deadline)


HITS = [
    "SELECT buffers_backend FROM pg_stat_bgwriter",
    "SELECT checkpoints_timed + checkpoints_req FROM pg_stat_bgwriter",
    "SELECT pg_stat_statements.blk_read_time FROM pg_stat_statements",
    "SELECT colliculocale FROM pg_collation",
    "SELECT num_dead_tuples FROM pg_stat_progress_vacuum",
    "SELECT pg_stat_get_buf_fsync_backend()",
    "PERFORM pg_file_rename('a', 'b')",
    "SELECT now() + interval '2 days ago 1 hour'",
    "SELECT json_value(data, 'a') FROM orders",
    "SELECT system_user FROM log",
    "SET optimizer_switch = 'mrr=on,engine_condition_pushdown=on'",
    "CREATE PROCEDURE find_by(IN p varchar(50) CHARACTER SET utf8mb4) BEGIN SELECT 1; END",
    "select p.id from person p join old_name o on(convert(trim(o.name) using utf8mb4) = p.name)",
]
MISSES = [
    "SELECT buffers_backend_of_mine, my_checkpoints_timed FROM pg_stat_bgwriter",
    "SELECT shared_blk_read_time FROM pg_stat_statements",
    "SELECT blk_read_time FROM measurements",
    "SELECT num_dead_tuples FROM farm",
    "SELECT now() + interval '1 day 1 hour ago', 'long ago 1 hour'",
    "SELECT my.json_value(data, 'a'), \"json_value\"(data), my_json_value(data), json_object('{a}'), json_value FROM o",
    "SELECT system_users FROM log",
    "SET optimizer_switch = 'mrr=on'",
    "DECLARE v varchar(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
    "CREATE TEMPORARY TABLE w (a int) DEFAULT CHARSET=utf8mb4 DEFAULT COLLATE=utf8mb4_bin",
    "DECLARE v varchar(50) CHARACTER SET latin1",
    "SELECT CONVERT(name USING utf8mb4) COLLATE utf8mb4_general_ci, CONVERT(name USING latin1), 'using utf8mb4'",
]


def test_each_pattern_that_ships_finds_what_it_is_for_and_not_what_looks_like_it() -> None:
    patterns = {
        pattern["pattern"]
        for entry in load().values()
        for check in entry.checks()
        for pattern in check.get("patterns", ())
    }
    finding = {text: {one for one in patterns if re.search(one, text)} for text in HITS}
    assert all(len(found) == 1 for found in finding.values()), finding
    assert set().union(*finding.values()) == patterns
    assert [(text, one) for text in MISSES for one in patterns if re.search(one, text)] == []


@pytest.mark.parametrize("text", ["interval '" + "ago " * 20_000, "blk_read_time " * 8_000, "num_dead_tuples " * 8_000])
def test_no_pattern_that_ships_takes_long(text: str) -> None:
    """Definitions are hostile, and a pattern is tried at each place of them."""
    began = time.process_time()
    for entry in load().values():
        for check in entry.checks():
            for pattern in check.get("patterns", ()):
                re.search(pattern["pattern"], text, re.IGNORECASE)
    assert time.process_time() - began < 10
