"""Hosts whose engines are set as Debian installs them, or for less: the test of an account says what stands in the way
and what to type, the account moves all the same where it can, and what is typed helps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from include.agent import verbs
from tests.lab.agents import Side, side
from tests.lab.cases.case import Step, find
from tests.lab.cases.run import World
from tests.lab.handles import Lab

# 500 tables with a sequence each, where 420 locks are: as 12,000 tables are where there are 7,808.
TABLES = 500
MANY = """DO $$ BEGIN FOR s IN 1..5 LOOP EXECUTE format('CREATE SCHEMA tenant_%s', s); COMMIT; FOR t IN 1..100 LOOP
EXECUTE format('CREATE TABLE tenant_%s.t_%s (id serial PRIMARY KEY, v text); INSERT INTO tenant_%s.t_%s (v) VALUES (1)',
s, t, s, t); IF t % 20 = 0 THEN COMMIT; END IF; END LOOP; END LOOP; END $$;"""
LATER = """SELECT setval('tenant_3.t_7_id_seq', 70, false); UPDATE tenant_5.t_9 SET v = 'later';"""
ASKED = """SELECT count(*) FROM pg_class WHERE relname LIKE 't\\_%' AND relkind = 'r';
SELECT v FROM tenant_5.t_9; SELECT last_value, is_called FROM tenant_3.t_7_id_seq;"""
MANY_TABLES = replace(
    find("25"),
    fill=(Step("acct25", MANY),),
    meanwhile=(Step("acct25", LATER),),
    checks=(Step("acct25", ASKED),),
    expect=f"{TABLES}\nlater\n70|f",
)
TWO_DATABASES, PLAIN = find("93"), find("15")
PSQL = ("psql", "-Xq", "-v", "ON_ERROR_STOP=1")
FEW_LOCKS = "max_locks_per_transaction=10 max_connections=20 max_worker_processes=8 max_wal_senders=10"


def settings(one: Side, mariadb: str, postgresql: str) -> None:
    """Both engines with these settings."""
    one.root("tee", "/etc/mysql/mariadb.conf.d/99-tried.cnf", stdin=f"[mysqld]\n{mariadb}\n".encode())
    script = "".join("ALTER SYSTEM SET {} = {};\n".format(*each.split("=")) for each in postgresql.split())
    one.root("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *PSQL, stdin=script.encode())
    one.root("systemctl", "restart", "mariadb", "postgresql")


@pytest.fixture(scope="module")
def sides(lab: Lab) -> Iterator[tuple[Side, Side]]:
    with lab.fresh("2022", "2026") as servers:
        old, new = (side(lab, one) for one in servers)
        settings(old, "skip-log-bin", f"wal_level=replica max_replication_slots=10 {FEW_LOCKS}")
        settings(new, "skip-log-bin", f"max_replication_slots=10 {FEW_LOCKS}")
        yield old, new


@pytest.fixture(scope="module")
def told(sides: tuple[Side, Side]) -> list[str]:
    """What the test of an account says, whose copy is gone then."""
    world = World(*sides, [TWO_DATABASES, PLAIN, MANY_TABLES], "stock", 5910)
    world.fill()
    said = world.test("stock", [])
    world.new.host.call(verbs.Remove(account="stock"))
    for one in sides:
        one.host.call(verbs.Unpair(move="stock"))
    world.clear()
    return said


def test_what_is_copied_while_visitors_wait_is_told_beforehand(told: list[str]) -> None:
    took = r"Copying it took \d+\.\d s for [\d,.]+ MB in this test, and visitors would wait as long"
    for database in ("acct93_db", "acct93_two"):
        wanted = f"database {database}: {took}, as MariaDB here keeps no binary log. .* write log_bin and binlog_format"
        assert any(re.match(wanted, line) for line in told), told
    wanted = f"database acct15_db: {took}, as PostgreSQL here writes no log of rows. .* SET wal_level = logical"
    assert any(re.match(wanted, line) for line in told), told


def test_it_moves_all_the_same(sides: tuple[Side, Side], told: list[str]) -> None:
    outcome = World(*sides, [TWO_DATABASES]), World(*sides, [PLAIN])
    for world in outcome:
        world.fill()
        done = world.move(f"stock-{world.name}")
        assert done.refused is None and {way.way for way in done.moved.ways} == {"dump"}
        case = world.cases[0]
        assert done.after[case.number] == done.before.get(case.number, case.expect) and done.apart == []


def test_what_is_typed_helps(sides: tuple[Side, Side], told: list[str]) -> None:
    said = next(line for line in told if line.startswith("The database acct25_db has 500 tables"))
    found = re.search(r"ALTER SYSTEM SET (max_locks_per_transaction) = (\d+); and restart it", said)
    assert found, said
    old, new = sides
    settings(old, "log_bin\nbinlog_format = ROW", f"wal_level=logical {found[1]}={found[2]}")
    world = World(*sides, [MANY_TABLES])
    world.fill()
    refused = world.move("few-locks").refused
    assert refused and "has 500 tables, and PostgreSQL on the new server can lock 420 at once" in refused.message
    settings(new, "", f"{found[1]}={found[2]}")
    for case in (TWO_DATABASES, MANY_TABLES):
        world = World(*sides, [replace(case, number=case.number)])
        world.fill()
        done = world.move(f"typed-{world.name}", epoch=4)
        assert done.refused is None and {way.way for way in done.moved.ways} == {"follow"}
        assert done.after[case.number] == case.expect and done.apart == []
