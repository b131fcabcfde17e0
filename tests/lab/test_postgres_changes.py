"""What a database's owner changes between the copy and the switch goes over; what they change between the rehearsal and
the hold ends in one sentence, and goes over when the switch is tried again."""

import pytest

from tests.lab.agents import side
from tests.lab.handles import Lab, Running
from tests.lab.postgres_moving import FOLLOW, SWITCH, Moving, sql
from tests.support.postgres_changes import BEFORE, CHANGES, Change

NAME, UID = "changing", 2605
# One database has them all; in the others nothing else is done that would show.
ALL, IDENTITY, REWRITTEN, QUIET = (f"{NAME}_{which}" for which in ("all", "identity", "rewritten", "quiet"))
IN_THE_HOLD = SWITCH.replace('step("rehearse")', 'step("rehearse")\n{0}')


def within(schema: str, script: str) -> str:
    return f"SET search_path = {schema};\n{script}"


def keys(change: Change) -> str:
    """Keys for the tables that the change does not touch: without one a table costs a lock when it is followed."""
    added = {"report": "ALTER TABLE report ADD PRIMARY KEY (id);", "log_1": "ALTER TABLE log ADD PRIMARY KEY (at);"}
    return "".join(key for table, key in added.items() if table not in change.sql)


@pytest.fixture(scope="module")
def moving(lab: Lab, pair: tuple[Running, Running]) -> Moving:
    each = "".join(f"CREATE SCHEMA {change.name};\n{within(change.name, BEFORE + keys(change))}" for change in CHANGES)
    quiet = "CREATE TABLE quiet (id int PRIMARY KEY, v text); INSERT INTO quiet VALUES (1, 'a'), (2, 'b');"
    filled = {ALL: each, IDENTITY: BEFORE, REWRITTEN: BEFORE, QUIET: quiet}
    return Moving(side(lab, pair[0]), side(lab, pair[1]), NAME, UID, filled)


def answers(moving: Moving, asked: str, database: str) -> list[str]:
    return [sql(one, asked, database) for one in (moving.old, moving.new)]


def test_changes_between_the_copy_and_the_switch_go_over(moving: Moving) -> None:
    done = moving.do(FOLLOW)["follow"]["result"]
    assert "ways" in done, done
    ways = done["ways"]
    assert [way["way"] for way in ways] == ["follow"] * 4
    by_name = {change.name: change for change in CHANGES}
    for change in CHANGES:
        sql(moving.old, within(change.name, change.sql), ALL, NAME)
    sql(moving.old, by_name["identity_away"].sql, IDENTITY, NAME)
    # No definition is another one after these; the rows of `items` are, and no log tells of them.
    using = "ALTER TABLE report ALTER COLUMN name TYPE text USING upper(name);"
    sql(moving.old, f"{by_name['vacuum_full'].sql}{using}", REWRITTEN, NAME)
    done = moving.do(SWITCH)
    ways = {way["database"]: way["why"] for way in done["follow"]["result"]["ways"]}
    again = [name for name, why in ways.items() if "loaded again" in why]
    assert again == [ALL, IDENTITY, REWRITTEN], ways
    assert done["compare"]["result"][1] == []
    for change in CHANGES:
        here, there = answers(moving, within(change.name, change.asked), ALL)
        assert here == there, change.name
    here, there = answers(moving, by_name["identity_away"].asked, IDENTITY)
    assert here == there == "201|30\n"
    here, there = answers(moving, "SELECT min(report.name), max(items.b) FROM report, items;", REWRITTEN)
    assert here == there == "N1|v\n"


def test_changes_between_the_rehearsal_and_the_hold_are_told(moving: Moving) -> None:
    changed = "CREATE OR REPLACE VIEW cheap AS SELECT id, name FROM items WHERE price < 77;"
    statement = f"from agent.stores.postgresql.sql import query\nquery({changed!r}, {IDENTITY!r})"
    done = moving.do(
        IN_THE_HOLD.format(
            statement.replace("VIEW cheap", "VIEW public.cheap").replace("FROM items", "FROM public.items")
        )
    )
    said = done["compare"]["result"]
    assert said["refused"] == "changed_meanwhile"
    assert said["message"] == (
        f"The database {IDENTITY} must be loaded again, as its definitions were changed (public.cheap); perform again."
    )
    assert moving.do(SWITCH)["compare"]["result"][1] == []
    here, there = answers(moving, "SELECT count(*) FROM cheap;", IDENTITY)
    assert here == there == "77\n"  # 76 of the first 200, and the one that was inserted since


def test_a_table_that_is_rewritten_in_the_last_moment_is_compared_as_a_whole(moving: Moving) -> None:
    statement = f"from agent.stores.postgresql.sql import query\nquery('VACUUM FULL public.secret', {REWRITTEN!r})"
    assert moving.do(IN_THE_HOLD.format(statement))["compare"]["result"][1] == []


def test_what_changes_first_in_the_hold_is_read_without_a_sequence_too(moving: Moving) -> None:
    """The session that reads the account's rows is open before nobody gets in any more."""
    statement = f"from agent.stores.postgresql.sql import query\nquery({'UPDATE public.quiet SET v = 1'!r}, {QUIET!r})"
    assert moving.do(IN_THE_HOLD.format(statement))["compare"]["result"][1] == []
