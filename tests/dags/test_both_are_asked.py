"""What destroys asks the registry *and* the machine itself; and no key of a move ever comes twice."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import psycopg
import pytest

from include import registry
from include.hosts import HostUnreachable
from include.moves import servers
from tests.dags.hosting import Hosting, made
from tests.dags.steps import (
    PARAMS,
    begin,
    move,
    operation,
    stand_in_for_look,
    step,
    up_to_hand_over,
    up_to_reinstalled,
)


@pytest.fixture
def dag(dags: dict[str, Any], hosting: Hosting, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`migrate_server`; accounts look the same wherever they are."""
    stand_in_for_look(monkeypatch, lambda account, address: {"urls": {}})
    return dags["migrate_server"]


def dumped(conn: psycopg.Connection, dsn: str) -> bytes:
    return subprocess.run(["pg_dump", conn.info.dbname], env=_env(dsn), check=True, capture_output=True).stdout


def restored(conn: psycopg.Connection, dsn: str, dump: bytes) -> psycopg.Connection:
    """The registry as it was when `dump` was made."""
    name, env = conn.info.dbname, _env(dsn)
    conn.close()
    anew = (f"DROP DATABASE {name} WITH (FORCE)", f"CREATE DATABASE {name} TEMPLATE template0")
    words = [word for statement in anew for word in ("-c", statement)]
    subprocess.run(["psql", "-q", "-d", "postgres", *words], env=env, check=True, capture_output=True)
    words = ["-v", "ON_ERROR_STOP=1"]
    subprocess.run(["psql", "-q", "-d", name, *words], input=dump, env=env, check=True, capture_output=True)
    return psycopg.connect(f"{dsn} dbname={name}", autocommit=True)


def _env(dsn: str) -> dict[str, str]:
    return {**os.environ, "PGHOST": dict(word.split("=") for word in dsn.split())["host"], "PGUSER": "postgres"}


def home(dag: Any, dags: dict[str, Any], migration: dict[str, Any], *accounts: str) -> None:
    """The accounts move home, and everything leads there again."""
    for account in accounts:
        move(dags, account, "vps-1", f"home-{migration['id']}-{account}")
    step(dag, "point_names_home", migration=migration)
    step(dag, "reroute_ips_home", migration=migration, transit="transit-1")


def test_an_account_made_on_the_transit_comes_home_too(dag: Any, dags: dict[str, Any], hosting: Hosting) -> None:
    conn = hosting.conn
    migration = up_to_reinstalled(dag, dags, conn)
    hosting.servers["transit-1"].accounts["newshop"] = {"state": "serving", "epoch": 1, "move": None}
    for account in ("app", "blog"):
        move(dags, account, "vps-1", f"home-{migration['id']}-{account}")
    with pytest.raises(registry.RegistryRefused, match="Not home yet: newshop"):
        step(dag, "point_names_home", migration=migration)
    home(dag, dags, migration, "newshop")
    step(dag, "discard_kept_disk", migration=migration)
    step(dag, "wipe_transit", migration=migration)
    assert hosting.servers["vps-1"].accounts["newshop"]["state"] == "serving"


def test_a_look_at_all_servers_finds_accounts_that_were_made_on_a_transit(dag: Any, hosting: Hosting) -> None:
    up_to_hand_over(dag, hosting.conn)
    hosting.servers["transit-1"].accounts["newshop"] = {"state": "serving", "epoch": 1, "move": None}
    assert servers.refresh_all(hosting.conn, hosting.reach) == []
    found = registry.account(hosting.conn, "newshop")
    assert (found.server, found.home_server) == ("transit-1", "vps-1")


def test_a_transit_is_not_wiped_while_it_says_that_something_is_there(
    dag: Any, dags: dict[str, Any], hosting: Hosting
) -> None:
    migration = up_to_reinstalled(dag, dags, hosting.conn)
    home(dag, dags, migration, "app", "blog")
    step(dag, "discard_kept_disk", migration=migration)
    hosting.servers["transit-1"].accounts["late"] = {"state": "serving", "epoch": 1, "move": None}
    with pytest.raises(registry.RegistryRefused, match="Transit transit-1 is not empty, .* late is serving here"):
        step(dag, "wipe_transit", migration=migration)
    assert "late" in hosting.servers["transit-1"].accounts
    del hosting.servers["transit-1"].accounts["late"]
    hosting.servers["transit-1"].queued = 2
    with pytest.raises(registry.RegistryRefused, match="2 messages are in the mail queue"):
        step(dag, "wipe_transit", migration=migration)
    hosting.servers["transit-1"].queued = 0
    step(dag, "wipe_transit", migration=migration)
    assert "transit-1" not in hosting.servers


def test_a_transit_that_does_not_answer_is_not_wiped_unless_it_was_at_it(
    dag: Any, dags: dict[str, Any], hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    migration = up_to_reinstalled(dag, dags, hosting.conn)
    home(dag, dags, migration, "app", "blog")
    step(dag, "discard_kept_disk", migration=migration)
    hosting.servers["transit-1"].on = False
    with pytest.raises(registry.RegistryRefused, match="cannot be asked whether it is empty, so it stays as it is"):
        step(dag, "wipe_transit", migration=migration)
    assert "transit-1" in hosting.servers
    hosting.servers["transit-1"].on = True

    def cut_off(server: registry.Server) -> None:
        hosting.servers[server.name].on = False
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(hosting, "wipe", cut_off)
        with pytest.raises(RuntimeError):
            step(dag, "wipe_transit", migration=migration)
    step(dag, "wipe_transit", migration=migration)
    assert "transit-1" not in hosting.servers


def test_a_transit_is_handed_over_only_when_it_says_that_it_is_empty(dag: Any, hosting: Hosting) -> None:
    conn = hosting.conn
    migration = step(dag, "check_server", params=PARAMS, run_id="run-1")
    step(dag, "request_transit", migration=migration)
    registry.assign_transit(conn, migration["id"])
    step(dag, "install_transit", migration=migration)
    step(dag, "enrol_transit", migration=migration, transit="transit-1")
    hosting.servers["transit-1"].accounts["theirs"] = {"state": "serving", "epoch": 1, "move": None}
    with pytest.raises(
        registry.RegistryRefused, match="transit-1 is not empty and is not handed over: The account theirs"
    ):
        step(dag, "hand_over", migration=migration, transit="transit-1")
    del hosting.servers["transit-1"].accounts["theirs"]
    step(dag, "hand_over", migration=migration, transit="transit-1")
    hosting.servers["transit-1"].accounts["mine"] = {"state": "serving", "epoch": 1, "move": None}
    step(dag, "hand_over", migration=migration, transit="transit-1")


def test_the_kept_disk_stays_until_the_original_itself_serves_every_account(
    dag: Any, dags: dict[str, Any], hosting: Hosting
) -> None:
    migration = up_to_reinstalled(dag, dags, hosting.conn)
    with pytest.raises(registry.RegistryRefused, match="kept until every account is home"):
        registry.disk_discarded(hosting.conn, migration["id"])
    home(dag, dags, migration, "app", "blog")
    hosting.servers["vps-1"].accounts["blog"]["state"] = "receiving"
    with pytest.raises(registry.RegistryRefused, match="vps-1 itself does not serve blog"):
        step(dag, "discard_kept_disk", migration=migration)
    assert len(hosting.kept) == 1
    hosting.servers["vps-1"].accounts["blog"]["state"] = "serving"
    step(dag, "discard_kept_disk", migration=migration)
    step(dag, "discard_kept_disk", migration=migration)
    assert not hosting.kept


def test_a_restored_registry_does_not_take_an_earlier_move_for_another_accounts(
    dag: Any, dags: dict[str, Any], hosting: Hosting, postgresql: str
) -> None:
    """Ids and epochs come again, and hosts keep what became of operations: no key may come again with them."""
    conn = hosting.conn
    up_to_hand_over(dag, conn)
    backup = dumped(conn, postgresql)
    move(dags, "blog", "transit-1", "perform-blog")
    (before,) = registry.moves_of_account(conn, "blog")
    hosting.conn = conn = restored(conn, postgresql, backup)
    hosting.started.clear()
    facts = begin(dags["move_account"], "app", "transit-1", "perform-app")
    assert facts["id"] == before.id and facts["key"] != before.key
    peer = step(dags["move_account"], "open_path", move=facts)
    for verb in ("copy", "switch"):
        operation(dags["move_account"], verb, facts, peer)
    assert len(hosting.started) == 2, "both were really done"
    assert hosting.servers["vps-1"].accounts["app"]["state"] == "moved"
    # What moved in the meantime is told: the registry and the server contradict each other.
    registry.advance_move(conn, facts["id"], "committed")
    registry.advance_move(conn, facts["id"], "done")
    with pytest.raises(Exception, match="blog is not ready to move: on vps-1 it is moved, not serving"):
        begin(dags["move_account"], "blog", "transit-1", "perform-blog")


def test_a_restored_registry_gives_nobody_a_transit_that_is_lived_on(
    dag: Any, dags: dict[str, Any], hosting: Hosting, postgresql: str
) -> None:
    conn = hosting.conn
    backup = dumped(conn, postgresql)  # the transit is free in it
    up_to_hand_over(dag, conn)
    for account in ("blog", "app"):
        move(dags, account, "transit-1", f"perform-{account}")
    hosting.conn = conn = restored(conn, postgresql, backup)
    registry.add_server(conn, "vps-9", "vps", "M", "2022", "other", "10.20.0.99", "10.30.0.99", "fd30::99")
    hosting.servers["vps-9"] = made("vps-9", "2022", "10.20.0.99")
    registry.enrol_server(conn, "vps-9", "2022", hosting.servers["vps-9"].host_key, {})
    hosting.servers["vps-9"].accounts["theirs"] = {"state": "serving", "epoch": 1, "move": None}
    registry.add_account(conn, "theirs", "vps-9", ["theirs.example"])
    before = dict(hosting.servers["transit-1"].accounts)
    other = step(dag, "check_server", params={**PARAMS, "server": "vps-9"}, run_id="run-9")
    step(dag, "request_transit", migration=other)
    assert registry.assign_transit(conn, other["id"]) == "transit-1"
    with pytest.raises(
        registry.RegistryRefused, match="is not empty, so it stays as it is: The account blog is serving"
    ):
        step(dag, "install_transit", migration=other)
    hosting.servers["transit-1"].on = False
    with pytest.raises(registry.RegistryRefused, match="cannot be asked whether it is empty"):
        step(dag, "install_transit", migration=other)
    assert hosting.servers["transit-1"].accounts == before


def test_an_install_that_was_cut_off_goes_on_with_a_transit_that_has_no_agent_yet(
    dag: Any, hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    migration = step(dag, "check_server", params=PARAMS, run_id="run-1")
    step(dag, "request_transit", migration=migration)
    registry.assign_transit(hosting.conn, migration["id"])
    install = hosting.reinstall

    def cut_off(server: registry.Server, infrastructure: str) -> None:
        install(server, infrastructure)
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(hosting, "reinstall", cut_off)
        with pytest.raises(RuntimeError):
            step(dag, "install_transit", migration=migration)

    def dumb(*_: Any, **__: Any) -> None:
        raise HostUnreachable("transit-1 has no agent.")

    with monkeypatch.context() as patched:
        patched.setattr("tests.dags.hosting.FakeHost._prove_empty", dumb)
        step(dag, "install_transit", migration=migration)
    assert hosting.servers["transit-1"].infrastructure == "2026"
