"""Every column of every catalogue of PostgreSQL: a change of it is seen, or it is listed with the reason why not.

The columns are those of a real server: of the one that the tests start, and, in catalogues.json, of each
release that accounts move between.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from include.agent.stores.postgresql import fingerprint
from include.agent.stores.postgresql.fingerprint import LEFT_OUT, NOT_HASHED
from include.agent.stores.postgresql.publish import FILES
from tests.support.postgres import create
from tests.support.postgres_changes import BEFORE, CHANGES, Change

HERE = Path(__file__).parent
RELEASES = {
    release: [[catalogue, column] for catalogue, columns in catalogues.items() for column in columns]
    for release, catalogues in json.loads((HERE / "catalogues.json").read_text()).items()
}
# A value of each type that is another one than what stands in the column.
OTHER = {
    "bool": "NOT {0}",
    "name": "'another'",
    "text": "{0} || 'x'",
    "char": "CASE {0} WHEN 'x' THEN 'y' ELSE 'x' END::\"char\"",
    "oid": "({0}::int8 + 100000)::oid",
    "xid": "'77'",
    "int2": "({0} + 100)::int2",
    "int4": "{0} + 100",
    "int8": "{0} - 1",
    "float4": "{0} + 100",
    "regproc": "CASE {0}::oid WHEN 'boolin'::regproc THEN 'boolout'::regproc ELSE 'boolin'::regproc END",
    "_text": "array_append({0}, 'x')",
    "_name": "array_append({0}, 'x')",
    "_char": "array_append({0}, 'x')",
    "_oid": "array_append({0}, 77::oid)",
    "_int2": "array_append({0}, 7::int2)",
    "_float4": "array_append({0}, 7::real)",
    "_aclitem": "array_append({0}, '=U/postgres'::aclitem)",
    "oidvector": "'16 16 16'",
    "int2vector": "'7 7 7'",
    "pg_node_tree": "(SELECT ev_action FROM pg_rewrite r WHERE r.oid < 16384 AND r.ev_action::text <>"
    " coalesce({0}::text, '') LIMIT 1)",
    "timestamptz": "now()",
    "bytea": "{0} || '\\x01'::bytea",
}


@pytest.fixture(scope="module")
def conn(postgresql: str) -> Iterator[psycopg.Connection]:
    dsn = create(postgresql, "defined")
    with psycopg.connect(f"{dsn} options='-c allow_system_table_mods=on'") as connection:
        connection.execute((HERE / "defined.sql").read_text())
        connection.commit()
        yield connection


def columns_of(conn: psycopg.Connection) -> list[list[str]]:
    return [row[0] for row in conn.execute(fingerprint.COLUMNS.rstrip(";\n"))]


def printed(conn: psycopg.Connection, columns: list[list[str]]) -> dict[str, str]:
    conn.execute("SET LOCAL search_path = pg_catalog")
    query = fingerprint.rows(columns) + " SELECT catalogue || ' ' || oid, hash FROM objects"
    return dict(conn.execute(query).fetchall())


def test_every_column_of_every_catalogue_is_seen(conn: psycopg.Connection) -> None:
    columns, unseen = columns_of(conn), []
    types: dict[str, str] = dict(
        conn.execute(
            "SELECT attrelid::regclass || '.' || attname, t.typname FROM pg_attribute a JOIN pg_type t ON t.oid ="
            " a.atttypid WHERE attnum > 0 AND attrelid < 16384"
        ).fetchall()
    )
    conn.rollback()
    for catalogue, names in fingerprint.hashed(columns).items():
        alone = [each for each in columns if each[0] == catalogue]
        before = printed(conn, alone)
        oids = [oid for oid in (int(key.split()[1]) for key in before) if oid >= 16384]
        assert oids, f"nothing in defined.sql stands in {catalogue}: add something that does"
        listed = ", ".join(map(str, oids))
        part_of = fingerprint._PART_OF.get(catalogue, "o.oid")
        where = fingerprint._WHERE.get(catalogue, "true")
        for column in names:
            other = OTHER[types[f"{catalogue}.{column}"]].format(f"o.{column}")
            row = (
                f"SELECT o.ctid FROM {catalogue} o WHERE {part_of} IN ({listed}) AND {where} AND ({other})::text IS"
                f" DISTINCT FROM o.{column}::text ORDER BY o.{column} IS NULL LIMIT 1"
            )
            conn.execute("SET LOCAL session_replication_role = replica")
            done = conn.execute(f"UPDATE {catalogue} o SET {column} = {other} WHERE o.ctid = ({row})")
            if done.rowcount != 1:
                # An array that is NULL, and stays it by appending.
                default = {"anyarray": "NULL"}.get(types[f"{catalogue}.{column}"], "'{}'")
                done = conn.execute(
                    f"UPDATE {catalogue} o SET {column} = {default} WHERE o.ctid = (SELECT o.ctid FROM {catalogue} o"
                    f" WHERE {part_of} IN ({listed}) AND {where} AND o.{column} IS NULL LIMIT 1)"
                )
            assert done.rowcount == 1, f"{catalogue}.{column} could not be changed"
            if printed(conn, alone) == before:
                unseen.append(f"{catalogue}.{column}")
            conn.rollback()
    assert unseen == []


@pytest.mark.parametrize("release", RELEASES)
def test_a_catalogue_is_hashed_or_left_out_for_a_reason(release: str) -> None:
    known = {catalogue for catalogue, _ in RELEASES[release]}
    hashed = fingerprint.hashed(RELEASES[release])
    assert known == {*hashed} | {*LEFT_OUT} & known
    assert all(reason for reason in LEFT_OUT.values())
    for catalogue, left in NOT_HASHED.items():
        names = {column for each, column in RELEASES[release] if each == catalogue}
        assert names == {*hashed[catalogue]} | {*left} & names and all(left.values())


def test_the_catalogues_of_this_server_are_known(conn: psycopg.Connection) -> None:
    """A catalogue that no list knows fails the build: say what of it is a customer's, or why it is left out."""
    release = str(conn.info.server_version // 10000)
    assert columns_of(conn) == RELEASES[release]
    known = {catalogue for columns in RELEASES.values() for catalogue, _ in columns}
    assert {catalogue for catalogue, _ in columns_of(conn)} <= known


def test_what_is_ordinary_changes_nothing(conn: psycopg.Connection) -> None:
    before = printed(conn, columns_of(conn))
    conn.commit()
    conn.autocommit = True
    conn.execute("INSERT INTO items SELECT g, 'n' || g, g FROM generate_series(1, 5000) g; UPDATE items SET u = 'q'")
    conn.execute("DELETE FROM items WHERE id < 50; SELECT nextval('counter'); REFRESH MATERIALIZED VIEW counted")
    conn.execute("CREATE TEMP TABLE away_soon (id serial PRIMARY KEY, n text DEFAULT 'x' CHECK (n <> ''))")
    conn.execute("CREATE TEMP VIEW seen AS SELECT * FROM away_soon")
    for statement in ("VACUUM FREEZE", "ANALYZE", "VACUUM FULL items", "CLUSTER items USING items_pkey"):
        conn.execute(statement)
    conn.autocommit = False
    # CLUSTER notes which index it went by.
    conn.execute("UPDATE pg_index SET indisclustered = false WHERE indexrelid = 'items_pkey'::regclass")
    assert printed(conn, columns_of(conn)) == before


def test_everything_is_named_once(postgresql: str) -> None:
    assert len(CHANGES) == len({change.name for change in CHANGES}) == 21


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_what_an_owner_changes_is_seen(postgresql: str, change: Change) -> None:
    """By the fingerprint, or by the file that rows are in; nothing else is looked at here, no log and no target."""
    with psycopg.connect(create(postgresql, f"changed_{change.name}"), autocommit=True) as one:
        one.execute(BEFORE)
        before, columns = _state(one), columns_of(one)
        for statement in [change.sql] if "VACUUM" not in change.sql else change.sql.split(";\n"):
            one.execute(statement)
        now = _state(one)
        assert columns == columns_of(one)
        if change.name == "identity_away":  # it ends as it was: our event trigger has taken the table out meanwhile
            assert now == before
        else:
            assert now != before
        if change.name in ("truncated", "vacuum_full"):
            assert now[0] == before[0], "ordinary work is no change of definitions"


def _state(conn: psycopg.Connection) -> tuple[dict[str, str], list]:
    with conn.transaction():
        found = printed(conn, columns_of(conn))
    return found, sorted(conn.execute(FILES.rstrip(";\n")).fetchall(), key=str)
