"""A whole migration with real Airflow: what is refused, how it ends, and that everything is equal and at home."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from include import registry
from include.agent import verbs
from lab import airflow
from lab.demo import stage
from lab.state import STATE
from lab.topology import RESOLVER, VISITOR
from tests.lab.agents import measured
from tests.lab.airflow_lab import ACCOUNTS, ORIGINAL, TRANSIT, Farm
from tests.lab.waiting import wait_for


@pytest.fixture(scope="module", autouse=True)
def the_end(farm: Farm) -> Iterator[None]:
    """These are the last tests of the farm: what comes after them finds a quiet lab."""
    yield
    farm.close()


def test_the_customer_moves_what_is_left(farm: Farm) -> None:
    """Also the account that they created meanwhile, once the migration knows of it."""
    farm.everybody_performed()
    assert farm.migration().state != "handed_over" or {*map(farm.lives_on, ACCOUNTS)} == {TRANSIT}


def test_the_migration_ends_well(farm: Farm, record_property: Callable[[str, object], None]) -> None:
    began = time.time()
    farm.agreed()
    tasks = {task["task_id"]: task["state"] for task in farm.finish(farm.run_id, "migrate_server", 420)}
    assert {*tasks.values()} == {"success"}
    with stage.registry_connection() as conn:
        migration = farm.migration()
        assert migration.state == "done"
        moves = registry.moves_of(conn, migration.id)
        for direction in ("out", "home"):
            done = [move for move in moves if move.direction == direction and move.state == "done"]
            assert sorted(move.account for move in done) == [*ACCOUNTS]
            for move in done:
                assert measured(move.figures.switch.verified).equal
                assert airflow.run("move_account", move.run_id)["state"] == "success"
                print(f"{move.account} {direction}: held {move.figures.switch.held_ms:.0f} ms")
                record_property(f"held_ms_{move.account}_{direction}", move.figures.switch.held_ms)
        # One at a time: each began when the one before had ended.
        for before, after in zip(moves, moves[1:], strict=False):
            assert before.ended_at and before.ended_at <= after.began_at
    print(f"from the last account's move to the end: {time.time() - began:.0f} s")


def test_the_original_runs_the_new_infrastructure(farm: Farm) -> None:
    described = farm.host(ORIGINAL).call(verbs.Describe())
    versions = described.versions
    for name, wanted in (("debian", "13"), ("postgresql", "17"), ("mariadb", "11.8"), ("php", "8.4")):
        assert versions[name].startswith(wanted), versions
    assert sorted(entry["account"] for entry in described.accounts) == [*ACCOUNTS]
    assert {entry["state"] for entry in described.accounts} == {"serving"}
    assert {key: found for key, found in described.unclaimed.items() if found} == {}
    with stage.registry_connection() as conn:
        assert registry.server(conn, ORIGINAL).infrastructure == stage.NEW


def test_who_logs_in_to_the_original_sees_the_host_key_that_they_know(farm: Farm) -> None:
    with stage.registry_connection() as conn:
        events = [event for event in registry.list_events(conn, server=ORIGINAL) if event.kind == "server.enrolled"]
        assert len({event.detail["infrastructure"] for event in events}) == 2, "it was installed and installed again"
        assert {event.detail["host_key"] for event in events} == {registry.server(conn, ORIGINAL).host_key}


def test_ips_and_names_are_home_and_the_transit_is_wiped_and_free(farm: Farm) -> None:
    with stage.registry_connection() as conn:
        transit = registry.server(conn, TRANSIT)
        assert (transit.state, transit.host_key) == ("free", None)
        for ip in registry.ips_of(conn, ORIGINAL):
            assert ip.routed_to == ORIGINAL
            family = ["-6"] if ":" in ip.address else []
            route = json.loads(farm.lab.route(["ip", *family, "-j", "route", "get", ip.address]))[0]
            spec = farm.lab.server(ORIGINAL).spec
            assert route["gateway"] == (spec.lan_address6 if family else spec.lan_address)
        for name in registry.names_of(conn, ORIGINAL):
            assert name.points_at == name.address == farm.lab.names.current(name.fqdn, name.type)
    assert farm.lab.machines.infrastructure(TRANSIT) is None
    asked = farm.lab.in_ns(VISITOR, ["dig", "+short", f"@{RESOLVER}", "meadow.example", "A"]).stdout.split()
    assert asked == [farm.lab.server(ORIGINAL).ips[0]]


def test_every_account_is_equal_and_has_what_visitors_wrote(farm: Farm) -> None:
    wait_for(lambda: farm.visitors.of("brook", time.time() - 2), 10, "visitors still ask")
    farm.visitors.rest()
    for account in ACCOUNTS:
        assert farm.kept(ORIGINAL, account) == farm.content[account]
        visits = farm.visitors.of(account)
        last = visits[-1]
        assert (last.status, last.server) == (200, ORIGINAL) and last.php.startswith("8.4")
        there = Counter(farm.written(ORIGINAL, account))
        answered = {visit.n for visit in visits if visit.status == 200}
        assert {n: there[n] for n in answered if there[n] != 1} == {}, f"{account}: not there exactly once"
        assert [n for n, times in there.items() if times > 1] == []
        turned_away = [visit for visit in visits if visit.status != 200]
        unexplained = [
            v
            for v in turned_away
            if not any(v.sent < end and v.answered > began and account in whose for began, end, whose in farm.outages)
        ]
        assert unexplained == [], f"{account}: visitors were turned away"
        waits = sorted(visit.answered - visit.sent for visit in visits)
        print(f"{account}: {len(visits)} posts, {len(turned_away)} in the reboot lost, longest wait {waits[-1]:.1f} s")


def test_the_report_says_what_was_done(farm: Farm) -> None:
    migration = farm.migration()
    report = json.loads((STATE / "reports" / f"migration-{migration.id}.json").read_text())
    assert report["migration"]["state"] in ("home", "done")
    assert {move["account"] for move in report["moves"]} == {*ACCOUNTS}
    assert "original.proven_empty" in {event["kind"] for event in report["events"]}
