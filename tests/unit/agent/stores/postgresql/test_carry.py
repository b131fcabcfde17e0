"""What is said of what PostgreSQL refuses, and which names of time zones a server does not know."""

from pathlib import Path

from include.agent.checks import zones as checks_zones
from include.agent.checks.findings import Findings
from include.agent.stores.postgresql import make, tool_messages

REFUSED = """pg_restore: from TOC entry 3340; 1259 16447 INDEX login_name acct
pg_restore: error: could not execute query: ERROR:  could not create unique index "login_name"
DETAIL:  Key (name)=(bob) is duplicated.
Command was: CREATE UNIQUE INDEX "login_name" ON "public"."login" USING "btree" ("name");
pg_restore: from TOC entry 3341; 1259 16448 INDEX person_lower_idx acct
pg_restore: error: could not execute query: ERROR:  function unaccent(unknown, text) does not exist
CONTEXT:  SQL function "f_unaccent" during inlining
Command was: CREATE INDEX "person_lower_idx" ON "public"."person" USING "btree" ("public"."f_unaccent"("name"));
pg_restore: warning: errors ignored on restore: 2
"""


def test_a_duplicate_is_told_with_its_table_its_key_and_what_to_do() -> None:
    first, second = tool_messages.messages(REFUSED)
    assert first.object == "INDEX login_name" and first.detail == "Key (name)=(bob) is duplicated."
    assert "Two rows of login have the same key" in first.sentence and "REINDEX TABLE login" in first.sentence
    assert "ALTER FUNCTION f_unaccent SET search_path" in second.sentence


def test_what_pg_dump_cannot_read_is_told_with_what_to_do() -> None:
    large = 'Dumping the contents of table "file" failed: invalid memory alloc request size 1258291203'
    assert "octet_length" in (tool_messages.of_pg_dump("shop", large) or "")
    assert "max_locks_per_transaction" in (tool_messages.of_pg_dump("shop", "out of shared memory") or "")
    assert tool_messages.of_pg_dump("shop", "connection refused") is None


def test_the_place_of_a_setting_is_said_in_words() -> None:
    assert make._words("ROLE ann IN DATABASE shop") == "role ann in database shop"


def test_old_names_of_time_zones_are_those_of_links_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "tzdata.zi").write_text(
        "# version 2025b\nZ America/New_York -5 u E%sT\n"
        "L America/New_York US/Eastern\nL Asia/Tokyo Japan\nL Etc/UTC UTC\n"
    )
    (tmp_path / "UTC").write_text("")
    zones = checks_zones.missing(tmp_path)
    assert zones == {"us/eastern": "America/New_York", "japan": "Asia/Tokyo"}
    assert checks_zones.in_text("SELECT now() AT TIME ZONE 'US/Eastern'", zones) == {"US/Eastern": "America/New_York"}
    assert checks_zones.in_text("SELECT 'Japan'", zones) == {}
    assert checks_zones.in_text("SET timezone = 'Japan'", zones) == {"Japan": "Asia/Tokyo"}
    assert checks_zones.missing(tmp_path / "nowhere") == {}


def test_rows_that_name_an_old_time_zone_are_counted_by_column() -> None:
    found = Findings()
    zones = {"us/eastern": "America/New_York", "japan": "Asia/Tokyo"}
    rows = checks_zones.ZoneRows("zones", ["t, country", "t, zone"], ["country", "zone"], zones, found)
    for line in (b"Japan\tUS/Eastern", b"Japan\tJapan", b"US/Eastern\t\\N", b"x\tUS/Eastern"):
        rows.row(line)
    assert sorted((one.where, one.what.split()[4], one.count) for one in found.rows()) == [
        ("t, country", "US/Eastern,", 1),
        ("t, zone", "Japan,", 1),
        ("t, zone", "US/Eastern,", 2),
    ]
