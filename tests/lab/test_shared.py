"""Shared servers with real Airflow: the Test button, perform for one account, expiry, and a campaign of twelve of which
two fail, and of one more that cannot be moved."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from include import registry
from include.agent import verbs
from include.agent.host.codec import plain
from include.moves.channel import without_secrets
from include.moves.enrol import enrol
from lab import airflow, names, router
from lab.accounts.filling import Server, account_file, new_password
from lab.demo import stage
from lab.demo.inside import inside
from lab.state import STATE
from lab.topology import RESOLVER, VISITOR, server
from tests.lab.airflow_lab import TEST, Farm
from tests.lab.farm_visitors import Visitors
from tests.lab.waiting import wait_for

OLD, NEW = "shared-1", "shared-2"
DATABASES = "database-1"
SERVERS = {OLD: stage.OLD, NEW: stage.NEW}
PILOT = "heath"
STAYS = "moor"
HERD = [f"herd-{number:02}" for number in range(1, 13)]
FAILING = ("herd-04", "herd-07")
IMMOVABLE = "wold"
"""A table of its database is the administrator's."""
PAGE = """<?php
if (isset($_POST["slow"])) {{
    sleep(20);
}}
{notes}
echo "<title>{name}</title>\\n", gethostname(), " ", PHP_VERSION, "\\n<p>$notes notes of a shepherd who counts his sheep
    when the sun goes down behind the hills, and again when it rises over the pond, and finds that none is gone.</p>";
"""
IN_FILES = '$notes = count(glob(dirname(__DIR__) . "/data/*"));'
IN_DATABASE = """
$database = new PDO("{driver}:host=127.0.0.1;dbname={database}", "{database}", "{password}");
if (isset($_POST["n"])) {{
    $database->prepare("INSERT INTO visits VALUES (?)")->execute([(int) $_POST["n"]]);
}}
$notes = $database->query("SELECT count(*) FROM notes")->fetchColumn();
"""
TABLES = "CREATE TABLE visits (n integer); CREATE TABLE notes (id integer PRIMARY KEY, note varchar(100));"
DRIVERS = {
    PILOT: "pgsql",
    STAYS: "pgsql",
    "herd-01": "pgsql",
    "herd-02": "mysql",
    "herd-11": "pgsql",
    "herd-12": "mysql",
    IMMOVABLE: "pgsql",
}
"""Who keeps its notes in a database; the others have files."""


@dataclass
class Shared:
    """The servers, and what was made on them."""

    farm: Farm
    conn: psycopg.Connection
    filling: Server
    passwords: dict[str, str]

    def root(self, name: str, *argv: str, stdin: str = "") -> str:
        return self.farm.lab.root(name, list(argv), stdin=stdin.encode()).strip()

    def sql(self, name: str, account: str, query: str) -> str:
        """What a query on the account's database on a server gives to root; nothing where it has none."""
        database = account.replace("-", "_")
        if account not in DRIVERS:
            return ""
        if DRIVERS[account] == "pgsql":
            argv = ["runuser", "-u", "postgres", "--", "psql", "-X", "-q", "-A", "-t", "-d", database, "-c", query]
        else:
            argv = ["mariadb", "--batch", "--skip-column-names", database, "-e", query]
        return self.root(name, *argv)

    def run(self, dag_id: str, run_id: str, conf: dict[str, Any], seconds: float = 300) -> list[dict[str, Any]]:
        """Triggers a run and waits until it has ended well."""
        airflow.trigger(dag_id, run_id, conf)
        return self.farm.finish(run_id, dag_id, seconds)

    def kept(self, name: str, account: str) -> str:
        """All of the account's data on a server but what visitors write."""
        files = f"sha256sum /home/{account}/data/* /home/{account}/public_html/*"
        rows = "SELECT count(*), min(note), max(note) FROM notes"
        return self.root(name, "sh", "-c", files) + self.sql(name, account, rows)


@pytest.fixture(scope="module")
def shared(farm: Farm) -> Iterator[Shared]:
    """Two shared servers, enrolled, beside the farm's test server; accounts on the old one."""
    with stage.registry_connection() as conn, ThreadPoolExecutor(4) as pool:
        conn.autocommit = True
        try:
            for name in SERVERS:  # two that boot at once may be too many for a busy machine
                install(farm, name)
            made = Shared(farm, conn, filling(farm), {})
            list(pool.map(lambda one: create(made, *one), enumerate([PILOT, *HERD], 2500)))
            describe(made)
            name_pilot(made)
            yield made
        finally:
            for name in (*SERVERS, DATABASES):
                farm.lab.machines.wipe(server(name).spec)


def install(farm: Farm, name: str, kind: str = "shared", infrastructure: str | None = None) -> None:
    """A server, installed anew, reachable and known."""
    one, infrastructure = server(name), infrastructure or SERVERS[name]
    spec = one.spec
    for ip, hop in zip(one.ips, (spec.lan_address, spec.lan_address6), strict=True):
        family, length = (["-6"], 128) if ":" in ip else ([], 32)
        router.execute(["ip", *family, "route", "replace", f"{ip}/{length}", "via", hop])
    installed = farm.lab.machines.reinstall(spec, infrastructure)
    with stage.registry_connection() as conn:
        conn.autocommit = True
        addresses = (spec.management_address, spec.lan_address, spec.lan_address6)
        registry.add_server(conn, name, kind, stage.PLAN, infrastructure, None, *addresses)
        for ip in one.ips:
            registry.add_ip(conn, ip, name)
        registry.enrol_server(conn, name, infrastructure, installed.host_key, {})
        enrol(conn, name, infrastructure, farm.host(name))


def filling(farm: Farm) -> Server:
    """The old server, to fill accounts on."""
    return Server(stage.executor(OLD), lambda statement: farm.host(OLD).call(verbs.Create(account_file=statement)))


def create(made: Shared, uid: int, name: str) -> None:
    """A small account: one page, and some notes."""
    database, password = name.replace("-", "_"), new_password()
    made.passwords[name] = password
    driver = DRIVERS.get(name)
    engines: dict[str | None, dict[str, Any]] = {
        None: {},
        "pgsql": {"postgresql": {"roles": [database], "databases": [database]}},
        "mysql": {"mariadb": {"users": [{"user": database, "host": "%"}], "databases": [database]}},
    }
    made.filling.create(account_file(name, uid, **engines[driver]))
    known = {"driver": driver, "database": database, "password": password}
    page = PAGE.format(name=name, notes=IN_DATABASE.format(**known) if driver else IN_FILES)
    made.filling.write_as(name, f"/home/{name}/public_html", {"index.php": page})
    made.filling.write_as(name, f"/home/{name}/data", {f"note {n}": f"{name} {n}\n" * n for n in range(20)})
    if driver == "pgsql":
        psql = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"]
        role = f"CREATE ROLE {database} LOGIN PASSWORD '{password}';\nCREATE DATABASE {database} OWNER {database};"
        made.filling.run_as("postgres", *psql, input=role)
        rows = "INSERT INTO notes SELECT g, 'note ' || md5(g::text) FROM generate_series(1, 100) g;"
        made.filling.run_as("postgres", *psql, "-d", database, input=f"SET ROLE {database};{TABLES}{rows}")
    if driver == "mysql":
        rows = "INSERT INTO notes SELECT seq, CONCAT('note ', MD5(seq)) FROM seq_1_to_100;"
        user = f"CREATE DATABASE {database}; CREATE USER {database}@'%' IDENTIFIED BY '{password}';"
        grant = f"GRANT ALL ON {database}.* TO {database}@'%'; USE {database};"
        made.filling.run("mariadb", "--batch", input=f"{user}{grant}{TABLES}{rows}")


def describe(made: Shared, accounts: Sequence[str] = (PILOT, *HERD)) -> None:
    """The registry learns of the accounts, and Airflow of how they are looked at."""
    description = without_secrets(made.farm.host(OLD).call(verbs.Describe()))
    registry.record_description(made.conn, OLD, plain(description))
    registry.sync_accounts(made.conn, OLD, description.accounts)
    for name in accounts:
        registry.set_customer(made.conn, name, f"the owner of {name}")
        airflow.connect_account(name, {"urls": [f"http://{name}.example/"]}, [])


def name_pilot(made: Shared) -> None:
    """The pilot's site has names in the host's DNS."""
    fqdn, zone = f"{PILOT}.example", made.farm.lab.names
    for kind, address in zip(("A", "AAAA"), server(OLD).ips, strict=True):
        registry.add_name(made.conn, fqdn, kind, PILOT, address, 5)
        zone.point(fqdn, kind, zone.current(fqdn, kind), address, 5)


def resolved(made: Shared, fqdn: str) -> str:
    """What visitors are told."""
    asked = made.farm.lab.in_ns(VISITOR, ["dig", "+short", f"@{RESOLVER}", fqdn, "A"])
    return asked.stdout.strip()


def fetched(made: Shared, fqdn: str) -> str:
    """Headers and page of a site, as a visitor finds it: by its name, through DNS."""
    address = resolved(made, fqdn)
    argv = ["curl", "-s", "-i", "-m", "20", "--resolve", f"{fqdn}:80:{address}", f"http://{fqdn}/"]
    return made.farm.lab.in_ns(VISITOR, argv).stdout


def test_the_test_button_gives_an_address_that_works(
    shared: Shared, record_property: Callable[[str, object], None]
) -> None:
    before = shared.kept(OLD, PILOT)
    began = time.monotonic()
    conf = {"account": PILOT, "entry": stage.ENTRY, "requested_by": "the owner"}
    tasks = shared.run("test_account", "test-heath", conf)
    record_property("test_seconds", round(time.monotonic() - began, 1))
    assert {task["state"] for task in tasks} == {"success"}
    test = registry.certain(registry.latest_test_of(shared.conn, PILOT, stage.ENTRY))
    assert test.state == "ready" and test.blockers == 0, registry.certain(test.report)["findings"]
    name = f"{PILOT}-example.{names.TEST_DOMAIN}"
    assert test.names == {f"{PILOT}.example": name}
    assert resolved(shared, name) == server(TEST).ips[0]
    page = fetched(shared, name)
    print(page)
    assert "HTTP/1.1 200" in page and "noindex" in page.lower() and f"{TEST} 8.4" in page and "100 notes" in page
    # The copy is reached with the account's own credentials; the original was not touched and serves on.
    with psycopg.connect(
        host=server(TEST).ips[0], user=PILOT, password=shared.passwords[PILOT], dbname=PILOT, connect_timeout=10
    ) as copy:
        assert copy.execute("SELECT count(*) FROM notes").fetchall() == [(100,)]
    assert shared.kept(OLD, PILOT) == before == shared.kept(TEST, PILOT)
    assert f"{OLD} 8.2" in fetched(shared, f"{PILOT}.example")
    report = json.loads((STATE / "reports" / f"test-{test.id}.json").read_text())
    assert report["verdict"] in ("ready", "warnings") and report["pages"][0]["status"] == [200, 200]
    assert report["sentence"] in (STATE / "reports" / f"test-{test.id}.html").read_text()
    print(report["sentence"], [finding["title"] for finding in report["findings"]])


def test_perform_moves_the_account_for_good_and_no_visitor_notices(
    shared: Shared, record_property: Callable[[str, object], None]
) -> None:
    visitors = Visitors(server(OLD).ips[0], every=0.2)
    visitors.accounts.append(PILOT)
    before = shared.kept(OLD, PILOT)
    visitors.start()
    conf = {"account": PILOT, "entry": stage.ENTRY, "requested_by": "the owner", "longest_wait_seconds": 10}
    try:
        shared.run("migrate_account", "perform-heath", conf)
        wait_for(lambda: visitors.of(PILOT)[-1].server == NEW, 10, "the old server passes visitors on")
    finally:
        visitors.rest()
    account = registry.account(shared.conn, PILOT)
    assert account.server == account.home_server == NEW
    assert resolved(shared, f"{PILOT}.example") in (server(OLD).ips[0], server(NEW).ips[0])
    wait_for(lambda: resolved(shared, f"{PILOT}.example") == server(NEW).ips[0], 15, "its name leads there")
    assert f"{NEW} 8.4" in fetched(shared, f"{PILOT}.example")
    assert shared.kept(NEW, PILOT) == before
    visits = visitors.of(PILOT)
    assert [visit for visit in visits if visit.status != 200] == []
    there = Counter(int(line) for line in shared.sql(NEW, PILOT, "SELECT n FROM visits").split())
    assert {n: there[n] for n in (visit.n for visit in visits) if there[n] != 1} == {}
    longest = max(visit.answered - visit.sent for visit in visits)
    print(f"{len(visits)} posts, the longest wait {longest:.2f} s")
    record_property("longest_wait_seconds", round(longest, 2))


def test_an_expired_copy_is_taken_away(shared: Shared) -> None:
    test = registry.certain(registry.latest_test_of(shared.conn, PILOT, stage.ENTRY))
    shared.conn.execute("UPDATE tests SET expires_at = now() - interval '1 hour' WHERE id = %s", [test.id])
    shared.run("expire_tests", "expire-heath", {})
    assert registry.test(shared.conn, test.id).state == "removed"
    assert shared.farm.state(TEST, PILOT)["state"] == "absent"
    assert shared.farm.lab.names.current(test.names[f"{PILOT}.example"], "A") is None
    assert shared.farm.state(NEW, PILOT)["state"] == "serving"


@contextmanager
def kept_busy() -> Iterator[None]:
    """In this block, a request of some seconds' age is always at work in each of the accounts that are to fail."""
    over, form = threading.Event(), {"Content-Type": "application/x-www-form-urlencoded"}

    def post(account: str) -> None:
        connection = http.client.HTTPConnection(server(OLD).ips[0], 80, timeout=60)
        with closing(connection):
            connection.request("POST", "/", body="slow=1", headers={"Host": f"{account}.example", **form})
            connection.getresponse().read()

    def send(account: str, delay: float) -> None:
        over.wait(delay)
        while not over.is_set():
            with suppress(OSError, http.client.HTTPException):
                inside(VISITOR, post, account)

    senders = [threading.Thread(target=send, args=(name, delay)) for name in FAILING for delay in (0, 7, 14)]
    for thread in senders:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in senders:
            thread.join()


@pytest.mark.timeout(1800)
def test_a_campaign_of_twelve_of_which_two_fail(shared: Shared, record_property: Callable[[str, object], None]) -> None:
    """Somebody sends them requests that take long all the time, which no hold may cut."""
    before = {account: shared.kept(OLD, account) for account in HERD}
    create(shared, 2540, IMMOVABLE)
    argv = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", IMMOVABLE, "-c", "CREATE TABLE audit ()"]
    shared.filling.run_as("postgres", *argv)
    describe(shared, [IMMOVABLE])
    began = time.monotonic()
    conf = {"entry": stage.ENTRY, "accounts": "all", "canaries": 2, "wave_size": 10, "requested_by": "ops"}
    # What holds at any speed of the machine, and beside nine others, is the behaviour.
    conf["longest_wait_seconds"] = 10
    with kept_busy():
        shared.run("run_campaign", "campaign-of-twelve", conf, 1500)
    seconds = time.monotonic() - began
    print(f"12 accounts tested and performed in {seconds:.0f} s")
    record_property("campaign_seconds", round(seconds))
    (campaign,) = registry.list_campaigns(shared.conn)
    assert campaign.state == "done"
    ended = registry.campaign_accounts(shared.conn, campaign.id)
    states = {one.account: one.state for one in ended}
    reasons = {one.account: one.reason for one in ended}
    # What cannot be moved is said before anything begins, with the place, and is left.
    assert (states.pop(IMMOVABLE), shared.farm.state(OLD, IMMOVABLE)["state"]) == ("left", "serving")
    assert "In database wold table public.audit belongs to postgres" in registry.certain(reasons[IMMOVABLE])
    (obstacle,) = registry.certain(registry.foreseen(shared.conn, IMMOVABLE, stage.ENTRY)).obstacles
    assert obstacle["who"] == "host" and registry.tests_of(shared.conn, IMMOVABLE) == []
    assert states == {account: "failed" if account in FAILING else "done" for account in HERD}, reasons
    for account in HERD:
        lives_on = OLD if account in FAILING else NEW
        assert registry.account(shared.conn, account).server == lives_on
        assert shared.farm.state(lives_on, account)["state"] == "serving"
        assert shared.kept(lives_on, account) == before[account]
        assert registry.certain(registry.latest_test_of(shared.conn, account, stage.ENTRY)).blockers == 0
    report = json.loads((STATE / "reports" / f"campaign-{campaign.id}.json").read_text())
    assert report["counts"] == {"done": 10, "failed": 2, "left": 1}
    for one in report["accounts"]:
        if one["account"] in FAILING:
            assert "has run in PHP" in one["reason"] and one["lives_on"] == OLD
        elif one["account"] != IMMOVABLE:
            assert one["verified"]["equal"] and one["held_ms"] > 0
    events = registry.list_events(shared.conn, limit=1_000_000)
    assert any(event.kind == "report.written" and event.detail.get("campaign") == campaign.id for event in events)


def test_one_engines_databases_move_and_the_account_stays(shared: Shared) -> None:
    install(shared.farm, DATABASES, "database", stage.NEW)
    create(shared, 2550, STAYS)
    describe(shared, [STAYS])
    asked = {"account": STAYS, "entry": "postgresql-17", "requested_by": "the owner"}
    shared.run("test_account", "test-moor", asked)
    test = registry.certain(registry.latest_test_of(shared.conn, STAYS, "postgresql-17"))
    assert test.blockers == 0
    assert test.names == {STAYS: f"{STAYS}.{names.TEST_DOMAIN}"}, (
        "a copy of databases is reached by a name and has no sites"
    )
    visitors = Visitors(server(OLD).ips[0], every=0.2)
    visitors.accounts.append(STAYS)
    visitors.start()
    try:
        shared.run("migrate_account", "perform-moor", {**asked, "longest_wait_seconds": 10})
        time.sleep(2)
    finally:
        visitors.rest()
    assert registry.account(shared.conn, STAYS).server == OLD
    assert registry.engines_of(shared.conn, STAYS) == {"postgresql": DATABASES}
    visits = visitors.of(STAYS)
    assert [visit for visit in visits if visit.status != 200] == []
    assert {visit.server for visit in visits} == {OLD}
    there = Counter(int(line) for line in shared.sql(DATABASES, STAYS, "SELECT n FROM visits").split())
    assert {n: there[n] for n in (visit.n for visit in visits) if there[n] != 1} == {}
    assert visits[-1].n not in [int(line) for line in shared.sql(OLD, STAYS, "SELECT n FROM visits").split()]
