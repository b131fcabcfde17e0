"""A whole migration with real Airflow: what is refused, how it ends, and that everything is equal and at home."""

import json
import time
from collections import Counter
from decimal import Decimal

import pytest

from include import registry
from include.moves.enrol import enrol
from lab import airflow
from lab.accounts.filling import account_file
from lab.demo import stage
from lab.state import STATE
from lab.topology import RESOLVER, VISITOR
from tests.lab.airflow_lab import ORIGINAL, TRANSIT, Farm, wait_for

LARGE = "VPS of 32 cores"
ACCOUNTS = ("brook", "meadow", "orchard")
REFUSED = {
    "unknown_server": "There is no server vps-404",
    "shared_server": "is a shared server: only a dedicated server or VPS is migrated",
    "transit": "is a transit server: only a dedicated server or VPS is migrated",
    "unknown_entry": "no-such-entry",
    "no_accounts": "has no accounts",
    "no_transit_of_the_plan": LARGE,
    "already_migrated": f"{ORIGINAL} is being migrated already",
    "unknown_account": "There is no account nobody",
    "unknown_target": "There is no server vps-404",
    "not_migrated": "is not being migrated: begin its migration first",
}


@pytest.fixture(scope="module", autouse=True)
def the_end(farm: Farm):
    """These are the last tests of the farm: what comes after them finds a quiet lab."""
    yield
    farm.close()


@pytest.fixture(scope="module")
def asked(farm: Farm):
    """Everything that is to be refused, asked for at once: {case: (DAG, run id)}, and what the registry then says.

    Three more servers: a shared one, and VPSes with and without an account, the latter of a plan of its own.
    """
    farm.handed_over()
    with farm.lab.fresh("2022", "2022", "2022") as machines, stage.registry_connection() as conn:
        conn.autocommit = True
        registry.add_plan(conn, LARGE, Decimal(100), "CHF", 32, 256 << 30, 4 << 40)
        kinds = (("shared", stage.PLAN), ("vps", stage.PLAN), ("vps", LARGE))
        shared, empty, crowded = names = [one.name for one in machines]
        for one, (kind, plan) in zip(machines, kinds, strict=True):
            spec = one.spec
            addresses = (spec.management_address, spec.lan_address, spec.lan_address6)
            customer = None if kind == "shared" else "Others"
            registry.add_server(conn, one.name, kind, plan, stage.OLD, customer, *addresses)
            registry.enrol_server(conn, one.name, stage.OLD, one.installed.host_key, {})
            enrol(conn, one.name, stage.OLD, farm.host(one.name))
        agent = farm.host(crowded)
        agent.call("create", account_file=account_file("lodger", 2400))
        registry.add_account(conn, "lodger", crowded, ["lodger.example", "www.lodger.example"])
        before = snapshot(conn, names)
        runs = {
            "unknown_server": {"server": "vps-404", "entry": stage.ENTRY},
            "shared_server": {"server": shared, "entry": stage.ENTRY},
            "transit": {"server": TRANSIT, "entry": stage.ENTRY},
            "unknown_entry": {"server": crowded, "entry": "no-such-entry"},
            "no_accounts": {"server": empty, "entry": stage.ENTRY},
            "no_transit_of_the_plan": {"server": crowded, "entry": stage.ENTRY},
            "already_migrated": {"server": ORIGINAL, "entry": stage.ENTRY},
            "unknown_account": {"account": "nobody", "to_server": TRANSIT},
            "unknown_target": {"account": "lodger", "to_server": "vps-404"},
            "not_migrated": {"account": "lodger", "to_server": TRANSIT},
        }
        started = {}
        for case, conf in runs.items():
            dag_id = "migrate_server" if "server" in conf else "move_account"
            airflow.trigger(dag_id, f"refused-{case}", conf)
            started[case] = (dag_id, f"refused-{case}")
        yield started
        wait_for(lambda: all(airflow.run(*run)["state"] == "failed" for run in started.values()), 90, "all refused")
        assert snapshot(conn, names) == before
        assert farm.state(crowded, "lodger")["state"] == "serving"


def snapshot(conn, names: list[str]) -> list:
    """What a refusal leaves as it was."""
    migrations = registry.migrations(conn)
    return [
        [one.run_id for one in migrations],
        [registry.server(conn, name).state for name in names],
        [(one.name, one.server, one.epoch) for name in names for one in registry.accounts_of(conn, name)],
        [one.run_id for one in migrations if registry.request_of(conn, one.id)],
        [move.run_id for one in migrations for move in registry.moves_of(conn, one.id) if "refused" in move.run_id],
    ]


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_one_sentence(farm: Farm, asked: dict, case: str) -> None:
    said = farm.refusal(*asked[case])
    print(said)
    assert REFUSED[case] in said
    assert "Traceback" not in said and "\n" not in said


@pytest.mark.parametrize(
    ("dag_id", "conf"),
    [
        ("migrate_server", {"entry": stage.ENTRY}),
        ("migrate_server", {"server": "vps 1; reboot", "entry": stage.ENTRY}),
        ("move_account", {"account": "../etc", "to_server": TRANSIT}),
        ("move_account", {"account": "orchard", "to_server": 7}),
    ],
)
def test_bad_params_are_refused_at_the_trigger(farm: Farm, dag_id: str, conf: dict) -> None:
    body = {"dag_run_id": f"bad-{time.time_ns()}", "logical_date": None, "conf": conf}
    airflow.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body, expect=(400, 422))
    airflow.call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{body['dag_run_id']}", expect=(404,))


def test_the_same_run_is_started_once(farm: Farm) -> None:
    farm.handed_over()
    path = "/api/v2/dags/migrate_server/dagRuns"
    body = {"dag_run_id": farm.run_id, "logical_date": None, "conf": {"server": ORIGINAL, "entry": stage.ENTRY}}
    airflow.call("POST", path, body, expect=(409,))
    with stage.registry_connection() as conn:
        assert len([one for one in registry.migrations(conn) if one.server == ORIGINAL]) == 1


def test_the_customer_moves_what_is_left(farm: Farm) -> None:
    """Also the account that they created meanwhile, once the migration knows of it."""
    farm.handed_over()
    if "brook" not in farm.content:
        farm.create_late()
    for account in ("meadow", "orchard", "brook"):
        if account == "brook":
            wait_for(lambda: lives_on("brook"), 60, "the account that was created meanwhile is known")
        if lives_on(account) == ORIGINAL and farm.migration().state == "handed_over":
            farm.finish(farm.perform(account, name="rest"))


def lives_on(account: str) -> str | None:
    """Where the registry has the account; None while it does not know it."""
    with stage.registry_connection() as conn:
        return next((one.server for one in registry.accounts_of(conn, ORIGINAL) if one.name == account), None)


def test_the_migration_ends_well(farm: Farm, record_property) -> None:
    began = time.time()
    tasks = {task["task_id"]: task["state"] for task in farm.finish(farm.run_id, "migrate_server", 280)}
    assert {*tasks.values()} == {"success"}
    with stage.registry_connection() as conn:
        migration = farm.migration()
        assert migration.state == "done"
        moves = registry.moves_of(conn, migration.id)
        for direction in ("out", "home"):
            done = [move for move in moves if move.direction == direction and move.state == "done"]
            assert sorted(move.account for move in done) == [*ACCOUNTS]
            for move in done:
                assert move.figures["switch"]["verified"]["equal"]
                assert airflow.run("move_account", move.run_id)["state"] == "success"
                print(f"{move.account} {direction}: held {move.figures['switch']['held_ms']:.0f} ms")
                record_property(f"held_ms_{move.account}_{direction}", move.figures["switch"]["held_ms"])
        # One at a time: each began when the one before had ended.
        for before, after in zip(moves, moves[1:], strict=False):
            assert before.ended_at <= after.began_at
    print(f"from the last account's move to the end: {time.time() - began:.0f} s")


def test_the_original_runs_the_new_infrastructure(farm: Farm) -> None:
    described = farm.host(ORIGINAL).call("describe")
    versions = described["versions"]
    assert described["infrastructure"] == stage.NEW
    for name, wanted in (("debian", "13"), ("postgresql", "17"), ("mariadb", "11.8"), ("php", "8.4")):
        assert versions[name].startswith(wanted), versions
    assert sorted(entry["account"] for entry in described["accounts"]) == [*ACCOUNTS]
    assert {entry["state"] for entry in described["accounts"]} == {"serving"}
    assert {key: found for key, found in described["unclaimed"].items() if found} == {}
    with stage.registry_connection() as conn:
        assert registry.server(conn, ORIGINAL).infrastructure == stage.NEW


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
            v for v in turned_away if not any(v.sent < end and v.answered > began for began, end in farm.outages)
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
