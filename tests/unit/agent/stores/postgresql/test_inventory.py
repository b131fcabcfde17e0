"""What is defined is compared by what it says: what a version writes otherwise is the same, what is changed is not."""

import json

import psycopg
import pytest

from include.agent.stores.postgresql.inventory import inventory, parsed, words
from tests.support.postgres import create
from tests.support.postgres_changes import BEFORE, CHANGES

# What PostgreSQL 15 prints, and what 17 (or the same server after a dump and restore) prints of it.
ALIKE = [
    (" SELECT items.id,\n    items.name\n   FROM items\n  WHERE (items.price < (10)::numeric);",)
    + (" SELECT id,\n    name\n   FROM items\n  WHERE (price < (10)::numeric);",),
    (
        "((state)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying(3)])::text[]))",
        "(state)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying(3))::text])",
    ),
    ("json_value(doc, 'name'::text)", "public.\"json_value\"(doc, 'name'::text)"),
    ("'2020-01-01'::timestamp(3) without time zone", "('2020-01-01'::timestamp without time zone)"),
]
UNLIKE = [
    ("price < 10", "price < 99"),
    ("owner = 'a'::text", "owner = 'b'::text"),
    ("owner = 'a b'", "owner = 'a  b'"),
    ("lower(name)", "upper(name)"),
    ('"Name" > 1', "name > 1"),
    ("x = '::text'", "x = ''"),
    ("a AND b", "a OR b"),
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_what_is_written_otherwise_is_the_same(one: str, other: str) -> None:
    assert words(one) == words(other)


@pytest.mark.parametrize(("one", "other"), UNLIKE)
def test_what_says_something_else_differs(one: str, other: str) -> None:
    assert words(one) != words(other)


# What no fact of an object can show: rows, and what is the same by its name.
ROWS = {"recreate_ctas", "recreate_keyed", "column_again", "type_using", "key_again", "partition_again", "truncated"}
ROWS |= {"vacuum_full", "identity_away", "swap_rename"}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_change_of_a_definition_is_told_by_both_sides(postgresql: str, change) -> None:
    with psycopg.connect(create(postgresql, f"inventory_{change.name}"), autocommit=True) as one:
        one.execute(BEFORE)
        before = facts(one)
        for statement in [change.sql] if "VACUUM" not in change.sql else change.sql.split(";\n"):
            one.execute(statement)
        assert (facts(one) == before) == (change.name in ROWS)


def facts(conn: psycopg.Connection) -> list[str]:
    found = []
    with conn.transaction():
        conn.execute("SET LOCAL search_path = pg_catalog")
        for query in inventory({}).split(";\n"):
            found += [
                json.dumps(parsed(json.dumps(row[0]).encode())) for row in conn.execute(query or "SELECT 1 LIMIT 0")
            ]
    return sorted(found)
