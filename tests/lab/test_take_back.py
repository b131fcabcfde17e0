"""The way back from a transit that died, rehearsed on real servers: to the original while it stands, and to the disk
that it had, in the transit's place, once it was reinstalled."""

import smtplib
from collections.abc import Iterator
from typing import Any

import pytest

from include.agent import verbs
from include.hosts import AgentError, Host
from include.machines import MachineError
from tests.lab.agents import Move, Side, get, side
from tests.lab.handles import Lab, Running

UID = 2310
SQL = {
    "postgresql": ["psql", "-h", "127.0.0.1", "-U", "herd", "-d", "herd", "-At", "-c"],
    "mariadb": ["mariadb", "-h", "127.0.0.1", "-u", "herd", "-psecret", "herd", "-Ne"],
}


def lived_in(server: Side, name: str, uid: int) -> dict[str, Any]:
    """An account with a site, a mailbox, a crontab and, if it is herd, a database of each engine."""
    statement = server.create(name, uid)
    server.root("crontab", "-u", name, "-", stdin=b"* * * * * true\n")
    if name != "herd":
        return statement
    databases = {
        "postgresql": {"roles": ["herd"], "databases": ["herd"]},
        "mariadb": {"users": [{"user": "herd", "host": "%"}], "databases": ["herd"]},
    }
    statement = {**statement, **databases}
    made = "CREATE ROLE herd LOGIN PASSWORD 'secret'; CREATE DATABASE herd OWNER herd"
    for one in made.split("; "):
        server.root("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "psql", "-qc", one)
    made = "CREATE DATABASE herd; CREATE USER herd@'%' IDENTIFIED BY 'secret'; GRANT ALL ON herd.* TO herd@'%'"
    server.root("mariadb", "-e", made)
    server.host.call(verbs.Create(account_file=statement))
    for engine in SQL:
        sql(server, engine, "CREATE TABLE sheep (id int PRIMARY KEY)")
        sql(server, engine, "INSERT INTO sheep VALUES (1)")
    return statement


def sql(server: Side, engine: str, statement: str) -> str:
    return server.root("env", "PGPASSWORD=secret", *SQL[engine], statement).strip()


def moved_out(source: Side, target: Side, statement: dict[str, Any]) -> None:
    Move(f"out-{statement['account']}", 2, statement, source, target).prepare().switch()
    assert (source.state(statement["account"]), target.state(statement["account"])) == ("moved", "serving")


def serves(server: Side, name: str, number: int) -> None:
    """Visitors, mail and cron find the account here."""
    assert server.state(name) == "serving"
    assert get(server.address, f"{name}.example", number) == 200 and number in server.visits(name)
    assert "* * * * * true" in server.root("crontab", "-u", name, "-l")
    with smtplib.SMTP(server.address, 25, timeout=20) as smtp:
        smtp.sendmail("visitor@visitors.example", [f"info@{name}.example"], "Subject: x\r\n\r\nx\r\n")


def take_back(server: Side, account: str, epoch: int) -> verbs.Standing:
    return server.host.call(verbs.TakeBack(account=account, epoch=epoch, because="the transit's disk is gone"))


def test_the_way_back_from_a_transit_that_died(lab: Lab) -> None:
    machines = lab.machines
    with lab.fresh("2022", "2026") as (first, second):
        original, transit = side(lab, first), side(lab, second)
        herd, gone = lived_in(original, "herd", UID), lived_in(original, "gone", UID + 1)
        for statement in (herd, gone):
            moved_out(original, transit, statement)
        for engine in SQL:
            sql(transit, engine, "INSERT INTO sheep VALUES (2)")  # written on the transit: this is what is lost

        # The transit dies while the original stands: it serves again, with what it had.
        machines.cut_power(second.spec)
        for _ in range(2):
            assert take_back(original, "herd", 3) == verbs.Standing(state="serving", epoch=3)
        serves(original, "herd", 7)
        for engine in SQL:
            assert sql(original, engine, "SELECT id FROM sheep") == "1"
            sql(original, engine, "INSERT INTO sheep VALUES (3)")
        with pytest.raises(AgentError, match="epoch 2 is over"):
            take_back(original, "gone", 2)

        # The transit, should it be seen again, is fenced: no move of its epoch is taken.
        machines.start(second.spec)
        with pytest.raises(AgentError) as error:
            original.host.call(verbs.Receive(**late(herd, transit)))
        assert error.value.code == "stale_epoch"

        # Again, and now the original is reinstalled, its disk kept, before the transit dies for good.
        transit.host.close()
        machines.reinstall(second.spec, "2026")
        transit = side(lab, lab_running(lab, second))
        Move("again-herd", 4, herd, original, transit).prepare().switch()
        for _ in range(2):
            machines.keep(first.spec, "kept-rehearsal")
        home = machines.reinstall(first.spec, "2026")
        assert home.host_key != first.installed.host_key
        with pytest.raises(MachineError, match="keep or wipe it before"):
            machines.put_back(second.spec, "kept-rehearsal")
        machines.keep(second.spec, "kept-rehearsal-lost")
        assert machines.there(second.spec) is None
        for _ in range(2):
            stands_in = machines.put_back(second.spec, "kept-rehearsal")
        standing = machines.there(second.spec)
        assert standing and stands_in.host_key == first.installed.host_key == standing.host_key
        host = Host.connect(second.address, str(lab.ops_key), stands_in.host_key)
        there = Side(second.name, second.address, host, lab)
        assert there.state("herd") == "moved"
        take_back(there, "herd", 5)
        serves(there, "herd", 9)
        for engine in SQL:
            assert sql(there, engine, "SELECT count(*) FROM sheep") == "2"
        assert there.host.call(verbs.LeadTo(account="gone", address=first.address)) == verbs.Led(
            state="moved", to=first.address
        )
        for label in ("kept-rehearsal", "kept-rehearsal-lost"):
            machines.discard(label)
            machines.discard(label)
            assert not (machines.kept / label).exists()


def late(statement: dict[str, Any], other: Side) -> dict[str, Any]:
    """What a move of the transit's last epoch would send."""
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK9vP0Jc8hQzqJ4yq0Jm6sYkqvN0oXw8m2tq7o3w2u7Z"
    more = {"account": statement["account"], "move": "late", "epoch": 2, "account_file": statement}
    return {**more, "source_address": other.address, "public_key": key}


@pytest.fixture(autouse=True)
def nothing_kept(lab: Lab) -> Iterator[None]:
    """No disk stays behind, however a test ends."""
    yield
    for label in ("kept-rehearsal", "kept-rehearsal-lost"):
        lab.machines.discard(label)


def lab_running(lab: Lab, running: Running) -> Running:
    """The same server after another install."""
    installed = lab.machines.there(running.spec)
    assert installed
    return Running(running.server, installed)
