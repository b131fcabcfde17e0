"""Tables of an extension that hold a customer's rows, as spatial_ref_sys of PostGIS; and a row that nobody can read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.lab.agents import Side, side
from tests.lab.cases.case import Step, find
from tests.lab.cases.run import World
from tests.lab.handles import Lab

# The new version has more rows of its own. Whether it is trusted or vetted makes no difference to its tables.
CONTROL = "default_version = '1'\nrelocatable = true\ntrusted = true\n"
EXTENSION = """CREATE TABLE kind (id int PRIMARY KEY, v text);
INSERT INTO kind SELECT i, 'own' FROM generate_series(1, {own}) i;
SELECT pg_extension_config_dump('kind', 'WHERE NOT (id BETWEEN 1 AND 100) AND v <> ''\\a;:x''');
CREATE TABLE layer (id serial PRIMARY KEY, kind int REFERENCES kind);
SELECT pg_extension_config_dump('layer', '');
SELECT pg_extension_config_dump('layer_id_seq', '');
CREATE TABLE inner_table (v text);
"""
ROOT = """CREATE EXTENSION kinds;
GRANT SELECT, INSERT, UPDATE, DELETE, REFERENCES ON kind, layer TO acct27; GRANT USAGE ON layer_id_seq TO acct27;
INSERT INTO inner_table VALUES ('left here');"""
ACCOUNT = """INSERT INTO kind VALUES (900, E'mine\\t\\\\'), (901, NULL), (902, 'mine');
INSERT INTO layer (kind) VALUES (902);
CREATE TABLE place (id int PRIMARY KEY, kind int REFERENCES kind); INSERT INTO place VALUES (1, 900);"""
ASKED = """SELECT * FROM kind WHERE id > 100 ORDER BY id; SELECT * FROM layer;
INSERT INTO layer (kind) VALUES (900) RETURNING id; SELECT * FROM place;
SELECT has_table_privilege('kind', 'DELETE'), has_table_privilege('kind', 'TRUNCATE');"""
EXTENSIONS_ROWS = replace(
    find("27"),
    fill=(Step("root", ROOT), Step("acct27", ACCOUNT)),
    meanwhile=(Step("acct27", "UPDATE place SET id = 2;"),),
    checks=(Step("acct27", ASKED),),
    expect="900|mine\t\\\n902|mine\n1|902\n2\n2|900\nt|f",
)
# Each is read well by itself.
LARGE = """CREATE TABLE file (id integer PRIMARY KEY, data bytea, more bytea);
INSERT INTO file VALUES (1, 'a', 'b'), (2, convert_to(repeat('x', 270 << 20), 'UTF8'), NULL);
UPDATE file SET more = data WHERE id = 2;"""
TOO_LARGE = replace(find("89"), fill=(Step("acct89", LARGE),))


@pytest.fixture(scope="module")
def sides(lab: Lab) -> Iterator[tuple[Side, Side]]:
    with lab.fresh("2022", "2026") as servers:
        old, new = (side(lab, one) for one in servers)
        for one, version, own in ((old, 15, 5), (new, 17, 9)):
            folder = f"/usr/share/postgresql/{version}/extension"
            one.root("tee", f"{folder}/kinds.control", stdin=CONTROL.encode())
            one.root("tee", f"{folder}/kinds--1.sql", stdin=EXTENSION.format(own=own).encode())
        yield old, new


def test_rows_of_an_extension_that_are_the_customers_move(sides: tuple[Side, Side]) -> None:
    world = World(*sides, [EXTENSIONS_ROWS])
    world.fill()
    outcome = world.move("extension")
    assert outcome.refused is None and {way.way for way in outcome.moved.ways} == {"follow"}
    assert outcome.after["27"] == EXTENSIONS_ROWS.expect
    left = "what stands in public.inner_table, which the extension kinds has made and does not name as yours,"
    assert [one for one in outcome.left if left in one], outcome.left


def test_a_row_that_nobody_can_read_is_named_by_the_test(sides: tuple[Side, Side]) -> None:
    world = World(*sides, [TOO_LARGE])
    world.fill()
    told = world.test("large", [])
    wanted = "a row in public.file that is 1.1 GB as text"
    assert [one for one in told if wanted in one and "WHERE ctid = '(0," in one], told
