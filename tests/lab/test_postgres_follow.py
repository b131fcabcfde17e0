"""A PostgreSQL database that never stops changing is followed; what a hold has to wait for does not depend on its size.

The store's functions are called one by one, in one process on the source, as a switch does."""

from pathlib import Path

import pytest

from include.agent.host.digest import differences
from tests.lab.agents import Side, side
from tests.lab.handles import Lab, Running
from tests.lab.postgres_moving import FOLLOW, SWITCH, Moving
from tests.lab.postgres_moving import sql as run_sql

DATA = Path(__file__).parent / "data_sets"
NAME, UID = "followed", 2601
APP = f"{NAME}_app"


def sql(one: Side, script: str, role: str = "postgres") -> str:
    return run_sql(one, script, APP, role)


@pytest.fixture(scope="module")
def moving(lab: Lab, pair: tuple[Running, Running]) -> Moving:
    filled = {APP: (DATA / "postgres_followed.sql").read_text()}
    return Moving(side(lab, pair[0]), side(lab, pair[1]), NAME, UID, filled)


def same(moving: Moving) -> None:
    """A hold proves both sides equal, and a look at everything finds the same."""
    look = 'step("digest", account)\nfound[-1]["other"] = peer.call(verbs.Digest())\nstep("unhold", account)'
    whole = moving.do(SWITCH.replace('step("unhold", account)', look))["digest"]
    assert differences(whole["result"], whole["other"]) == []


def test_what_changes_all_the_while_is_equal_in_the_hold(moving: Moving) -> None:
    with moving.written(APP):
        done = moving.do(FOLLOW)["follow"]["result"]
        assert [way["way"] for way in done["ways"]] == ["follow"] and done["bytes"] > 100_000
        done = moving.do(SWITCH)
    figures, different = done["compare"]["result"]
    assert different == []
    assert done["final_pass"]["seconds"] + done["compare"]["seconds"] < 5, "the whole was looked at once more"
    counts = "SELECT (xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM ONLY %s', oid::regclass),"
    counts += (
        " false, true, '')))[1]::text::int FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    rows = [int(line) for line in sql(moving.new, counts + ";", role=NAME).split()]
    assert figures == {"files": 0, "bytes": 0, "tables": len(rows), "rows": sum(rows)}
    same(moving)


def test_large_objects_and_new_definitions_come_along(moving: Moving) -> None:
    change = "SELECT lo_unlink(5002), lo_put(5001, 3, 'CHANGED'), lo_from_bytea(5003, repeat('new', 9000)::bytea);"
    change += " GRANT SELECT ON LARGE OBJECT 5003 TO PUBLIC; COMMENT ON LARGE OBJECT 5001 IS 'it''s changed';"
    with moving.written(APP):
        sql(moving.old, change, role=NAME)
        assert moving.do(SWITCH)["compare"]["result"][1] == []
        sql(moving.old, "ALTER TABLE keyed ADD COLUMN added text DEFAULT 'x'; CREATE TABLE fresh (a int);", role=NAME)
        sql(moving.old, "REFRESH MATERIALIZED VIEW counted; INSERT INTO fresh VALUES (1);", role=NAME)
        # Without our event trigger the table's updates would be refused from here on.
        key = "ALTER TABLE keyed DROP CONSTRAINT keyed_pkey; UPDATE keyed SET n = 5 WHERE id < 50;"
        sql(moving.old, f"{key} DELETE FROM keyed WHERE id = 60; ALTER TABLE keyed ADD PRIMARY KEY (id);", role=NAME)
        done = moving.do(SWITCH)
    assert done["follow"]["result"]["bytes"] > 100_000 and done["compare"]["result"][1] == []
    assert "5003" in sql(moving.new, "SELECT oid FROM pg_largeobject_metadata ORDER BY 1;")
    same(moving)


def test_a_customers_code_ran_with_the_accounts_rights(moving: Moving) -> None:
    said = moving.new.root("sh", "-c", "grep -h -A1 'a check ran as' /var/log/postgresql/*.log")
    assert f"a check ran as {NAME} of th_apply_{NAME}" in said
    # PostgreSQL's own autovacuum is a session of the superuser, and switches to the owner too.
    assert "as postgres" not in said


def test_the_stream_is_postgresqls_alone_and_nothing_but_a_stream(moving: Moving) -> None:
    """With all that the target has, and as any other user of it."""
    (socket,) = moving.new.root("sh", "-c", "ls /run/transhumance-streams/*/.s.PGSQL.5432").split()
    where = socket.rpartition("/")[0]
    connect = f"import socket; socket.socket(socket.AF_UNIX).connect({socket!r})"
    for uid in (str(UID), "www-data", "nobody", "mysql"):
        tried = ["setpriv", f"--reuid={uid}", "--regid=nogroup", "--clear-groups", "python3", "-c", connect]
        said = moving.new.root("sh", "-c", '"$@" 2>&1; echo $?', "sh", *tried)
        assert "PermissionError" in said, uid
    login = f"host={where} port=5432 user=postgres dbname={APP} replication="
    as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "psql", "-XAt"]
    # The subscription's own connection is the one that is served: its worker has to let go first.
    sql(moving.new, "ALTER SUBSCRIPTION th_follow DISABLE;")
    for kind in ("database", "true", "false"):
        for command in (
            "BASE_BACKUP",
            "SELECT current_user",
            "CREATE_REPLICATION_SLOT x PHYSICAL",
            "TIMELINE_HISTORY 1",
        ):
            ask = ["timeout", "30", *as_postgres, "-d", login + kind, "-c", command]
            assert "is served here" in moving.new.root("sh", "-c", '"$@" 2>&1; true', "sh", *ask)
    sql(moving.new, "ALTER SUBSCRIPTION th_follow ENABLE;")
    assert "password" not in sql(moving.new, "SELECT subconninfo FROM pg_subscription;")
    roles = "SELECT rolname FROM pg_roles WHERE rolreplication AND rolname <> 'postgres';"
    assert sql(moving.old, roles) == ""
    listening = moving.new.root("ss", "-tlnpH", "src", "127.0.0.1", "or", "src", "[::1]")
    assert '"sshd' not in listening and '"python3"' not in listening


def test_a_stream_that_was_cut_is_taken_up_again(moving: Moving) -> None:
    """What of it is left on the target, as by a connection that was lost, gives way to the next one."""
    for stop, end in (("STOP", ["kill", "--signal=KILL"]), ("KILL", ["stop"])):  # the unit goes in a boot
        moving.new.root("pkill", f"-{stop}", "-f", "agent.pyz peer .*")
        moving.old.root("systemctl", *end, "transhumance-stream-*")
        sql(moving.old, "INSERT INTO parent SELECT max(a) + 1 FROM parent;", role=NAME)
        done = moving.do(SWITCH)
        assert done["compare"]["result"][1:] == [[]], [
            (n, round(d["seconds"], 2), d["result"]) for n, d in done.items()
        ]


def test_a_row_that_differs_among_those_that_changed_is_found(moving: Moving) -> None:
    corruption = "UPDATE identified SET v = 'other' WHERE id = (SELECT max(id) FROM identified);"
    with moving.written(APP):
        figures, different = moving.corrupted(corruption, APP)["compare"]["result"]
    assert len(different) == 1 and f"{APP} > public.identified > " in different[0]
    with moving.written(APP):
        assert moving.do(FOLLOW)["follow"]["result"]["bytes"] > 100_000  # loaded again, as it differs


def test_what_cannot_be_applied_is_loaded_again(moving: Moving) -> None:
    sql(moving.new, "INSERT INTO parent VALUES (5000);")
    sql(moving.old, "INSERT INTO parent VALUES (5000), (5001);", role=NAME)
    done = moving.do(SWITCH)
    assert done["follow"]["result"]["bytes"] > 100_000 and done["compare"]["result"][1] == []


def test_what_no_replication_carries_is_dumped_in_the_hold(moving: Moving) -> None:
    sql(moving.old, "CREATE UNLOGGED TABLE scratch AS SELECT 1 AS a;", role=NAME)
    with moving.written(APP):
        done = moving.do(SWITCH)
    way = done["follow"]["result"]["ways"][0]
    assert way["way"] == "dump" and "scratch" in way["why"]
    assert done["compare"]["result"][1] == [] and done["rehearse"]["result"]["slow"]
    same(moving)
    sql(moving.old, "DROP TABLE scratch;", role=NAME)
    assert moving.do(SWITCH)["follow"]["result"]["ways"][0]["way"] == "follow"


def test_nothing_of_it_stays(moving: Moving) -> None:
    moving.do('step("unfollow", account)\nstep("unfollow", account)')
    left = """SELECT slot_name::text FROM pg_replication_slots
      UNION ALL SELECT rolname FROM pg_roles WHERE rolname ~ '^th_'
      UNION ALL SELECT pubname FROM pg_publication
      UNION ALL SELECT evtname FROM pg_event_trigger
      UNION ALL SELECT nspname FROM pg_namespace WHERE nspname ~ '^th_'
      UNION ALL SELECT relname FROM pg_class WHERE relreplident = 'f'"""
    assert sql(moving.old, left + ";") == ""
    identity = (
        "SELECT relname, relreplident FROM pg_class WHERE relname IN ('nothing', 'no_key', 'by_index') ORDER BY 1;"
    )
    for one in (moving.old, moving.new):
        assert sql(one, identity).split() == ["by_index|i", "no_key|d", "nothing|n"]
    finished = "import sys; sys.path.insert(0, '/usr/local/lib/transhumance/agent.pyz');"
    finished += " from agent.stores.postgresql.store import POSTGRESQL; from agent.account.accounts import load;"
    finished += f" from agent.host.kept import Kept; Kept().__enter__(); POSTGRESQL.finish(load('{NAME}'))"
    moving.new.root("python3", "-c", finished)
    left = "SELECT subname::text FROM pg_subscription UNION ALL SELECT rolname FROM pg_roles WHERE rolname ~ '^th_'"
    left += " UNION ALL SELECT roname FROM pg_replication_origin;"
    assert sql(moving.new, left) == ""
    assert sql(moving.new, "SELECT work(), current_user;", role=NAME).strip() == f"|{NAME}"
