"""The look at a whole server, on a real one: a fresh server has nothing that is no account's, and each thing that
somebody puts there is told, stops a migration, and lets it go on when it is signed for."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import psycopg
import pytest

from include import registry
from include.agent import verbs
from include.moves import servers
from include.registry.schema import upgrade
from lab import postgres
from tests.lab.agents import Side, side
from tests.lab.handles import Lab, Running

DATABASE = "unclaimed_test"
UID = 2401
LISTENS = "import socket, time; s = socket.create_server(('0.0.0.0', 9191)); time.sleep(10000)"


@pytest.fixture(scope="module")
def both(lab: Lab, pair: tuple[Running, Running]) -> tuple[Side, Side]:
    """The old server, and the new one."""
    old, new = pair
    return side(lab, old), side(lab, new)


@pytest.fixture(scope="module")
def old(both: tuple[Side, Side]) -> Side:
    return both[0]


@pytest.fixture(scope="module")
def conn(old: Side, pair: tuple[Running, Running]) -> Iterator[psycopg.Connection]:
    """A registry of these tests' own, which knows the old server as a VPS with one account."""
    postgres.psql("postgres", f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    postgres.psql("postgres", f"CREATE DATABASE {DATABASE}")
    dsn = f"host={postgres.HOME} dbname={DATABASE} user=postgres"
    upgrade(dsn)
    with psycopg.connect(dsn, autocommit=True) as conn:
        registry.add_plan(conn, "S", Decimal("9.90"), "CHF", 2, 4 << 30, 80 << 30)
        registry.add_server(conn, old.name, "vps", "S", "2022", "acme", old.address, "10.99.0.1", "fd99::1")
        registry.enrol_server(conn, old.name, "2022", pair[0].installed.host_key, {})
        registry.add_server(conn, "pool", "transit", "S", "2026", None, "10.98.0.2", "10.99.0.2", "fd99::2")
        registry.sync_catalogue(conn, [registry.Entry("to-2026", "Debian 13", "infrastructure", "2022", "2026")])
        yield conn
    postgres.psql("postgres", f"DROP DATABASE {DATABASE} WITH (FORCE)")


def things(one: Side, operation: str) -> dict[tuple[str, str], str]:
    """What the server tells, by kind and name."""
    found = one.host.run(f"look-{operation}", verbs.Inspect(), poll=0.2).unclaimed
    return {(thing.kind, thing.name): thing.sentence for thing in found}


def test_fresh_servers_of_both_infrastructures_have_nothing(both: tuple[Side, Side]) -> None:
    for one in both:
        assert things(one, "fresh") == {}
        assert one.host.call(verbs.ProveEmpty()).empty


def test_an_account_is_nothing_of_nobodys(old: Side) -> None:
    old.create("shepherd", UID)
    old.root("crontab", "-u", "shepherd", "-", stdin=b"* * * * * true\n")
    started = ["systemd-run", "--quiet", "--unit=shepherds", "--uid=shepherd", "python3", "-c", LISTENS]
    old.root(*started)
    assert things(old, "account") == {}
    old.root("systemctl", "stop", "shepherds")


PUT = {
    ("files", "/srv/erp/"): ["sh", "-c", "mkdir -p /srv/erp/data && echo ledger > /srv/erp/data/ledger"],
    ("files", "/opt/tool"): ["sh", "-c", "echo tool > /opt/tool"],
    ("crontab", "/etc/cron.d/erp"): ["sh", "-c", "echo '* * * * * root true' > /etc/cron.d/erp"],
    ("zone", "erp.example"): [
        "sh",
        "-c",
        "mkdir -p /etc/bind && echo 'zone \"erp.example\" { type master; };' > /etc/bind/named.conf.local",
    ],
    ("container", "/var/lib/lxc/box"): ["sh", "-c", "mkdir -p /var/lib/lxc/box/rootfs"],
    ("cluster", "/var/lib/postgresql/15/second"): [
        "sh",
        "-c",
        "pg_createcluster 15 second > /dev/null && pg_ctlcluster 15 second start",
    ],
    ("listener", "/usr/bin/python3.11 (erp.service)"): [
        "systemd-run",
        "--quiet",
        "--unit=erp",
        "python3",
        "-c",
        LISTENS.replace("9191", "9292"),
    ],
    ("mount", "/home/shepherd/disk"): [
        "sh",
        "-c",
        "mkdir -p /home/shepherd/disk && mount -t tmpfs none /home/shepherd/disk",
    ],
}


@pytest.mark.parametrize("what", PUT, ids=lambda what: "-".join(what))
def test_each_thing_that_somebody_puts_there_is_told(old: Side, what: tuple[str, str]) -> None:
    old.root(*PUT[what])
    found = things(old, f"put-{[*PUT].index(what)}")
    assert what in found, found
    assert found[what].endswith(".")
    assert found[what] in old.host.call(verbs.ProveEmpty()).because
    signed = [verbs.Signed(kind=kind, name=name) for kind, name in found]
    assert not [why for why in old.host.call(verbs.ProveEmpty(signed=signed)).because if "shepherd is" not in why]


def test_a_home_with_a_mount_below_is_refused_before_anything_is_copied(old: Side) -> None:
    looked = old.host.run("ahead", verbs.Obstacles(account="shepherd", stores=["files"]), poll=0.2)
    (one,) = looked.obstacles
    assert one.who == "host" and "/home/shepherd/disk is mounted below the home of shepherd" in one.sentence
    assert "umount -- /home/shepherd/disk" in one.sentence


def test_a_migration_is_stopped_and_begins_when_each_is_signed_for(old: Side, conn: psycopg.Connection) -> None:
    def begin() -> str:
        return servers.begin(conn, old.name, "to-2026", "run", "ops", "a test of the look", lambda _: old.host).server

    with pytest.raises(registry.RegistryRefused) as refused:
        begin()
    unsigned = registry.unclaimed_of(conn, old.name)
    assert unsigned[0].sentence in str(refused.value) and f"python -m cli sign {old.name}" in str(refused.value)
    assert {(one.kind, one.name) for one in unsigned} >= {*PUT} and registry.migration_of(conn, old.name) is None
    for one in unsigned[:-1]:
        registry.sign_unclaimed(conn, old.name, one.kind, one.name, "the customer knows", "olga")
    with pytest.raises(registry.RegistryRefused) as refused:
        begin()
    assert unsigned[-1].name in str(refused.value) and unsigned[0].sentence not in str(refused.value)
    registry.sign_unclaimed(conn, old.name, unsigned[-1].kind, unsigned[-1].name, "the customer knows", "olga")
    assert begin() == old.name


def test_what_is_taken_away_is_gone(old: Side, conn: psycopg.Connection) -> None:
    for argv in (
        ["umount", "/home/shepherd/disk"],
        ["systemctl", "stop", "erp"],
        ["pg_dropcluster", "--stop", "15", "second"],
        ["rm", "-rf", "/srv/erp", "/opt/tool", "/etc/cron.d/erp", "/etc/bind", "/var/lib/lxc"],
    ):
        old.root(*argv)
    assert things(old, "gone") == {}
    proof = servers.ask_whether_empty(conn, old.name, old.host)
    assert proof.because == ["The account shepherd is serving here."]
    assert registry.unclaimed_of(conn, old.name) == [], "and so is its signature"
