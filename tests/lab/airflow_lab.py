"""What tests of whole migrations share: real Airflow, a VPS with small accounts, visitors, and ways to break it."""

from __future__ import annotations

import imaplib
import json
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from typing import Any
from urllib.parse import quote

from include import registry
from include.agent import verbs
from include.hosts import Host
from lab import airflow, postgres, router, state, topology
from lab.accounts.filling import Filled, Server, new_password
from lab.demo import run as demo
from lab.demo import stage
from lab.panel import Panel
from lab.visitors import crowd
from tests.lab.farm_accounts import MAILBOX, meadow, of_files, orchard
from tests.lab.farm_visitors import Visitors
from tests.lab.handles import Lab
from tests.lab.waiting import wait_for

ORIGINAL, TRANSIT, TEST = stage.ORIGINAL, stage.TRANSIT, stage.TEST
WORKING = ("airflow-scheduler", "airflow-triggerer")
"""Whoever works on runs; the workers are the scheduler's children."""
ACCOUNTS = ("brook", "copse", "meadow", "orchard")
"""All that live on the original in the end: the customer creates the first while the migration waits for them."""
OF_FILES = ("brook", "copse")
"""The accounts without a database: visitors write into a file."""
SOONER = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
}
"""A worker that was killed is missed after 15 s here."""


_open: list[Farm] = []


def close_farms() -> None:
    """Whoever sets up Airflow and the servers otherwise begins with this."""
    while _open:
        _open.pop().close()


class Farm:
    """The VPS, its transit, a test server and their Airflow, with everything that a test does to them."""

    def __init__(self, lab: Lab, host_key: str) -> None:
        self.lab, self.host_key = lab, host_key
        self.visitors = Visitors(topology.server(ORIGINAL).ips[0])
        self.outages: list[tuple[float, float, tuple[str, ...]]] = []
        """From when to when visitors of which accounts may be turned away."""
        self._run_id: str | None = None
        self.content: dict[str, str] = {}
        """What each account kept when it was filled."""
        self.mail_password = new_password()
        self._closed = False
        _open.append(self)

    @property
    def run_id(self) -> str:
        """The migration's, which was asked for."""
        assert self._run_id, "no migration was asked for"
        return self._run_id

    @cached_property
    def panel(self) -> Panel:
        """The customer's panel."""
        return Panel(stage.CUSTOMER)

    @cached_property
    def ops(self) -> Panel:
        """The API as ops use it."""
        return Panel(None)

    def close(self) -> None:
        """Nothing of it runs any more; the next lab test finds the lab as it was."""
        if self._closed:
            return
        self._closed = True
        self.visitors.rest()
        airflow.stop()
        for name in (ORIGINAL, TRANSIT, TEST):
            self.lab.machines.wipe(self.lab.server(name).spec)

    # --- servers

    def host(self, name: str) -> Host:
        """The server's agent, by the key that the registry has pinned."""
        with stage.registry_connection() as conn:
            return stage.host(name, registry.certain(registry.server(conn, name).host_key))

    def state(self, server: str, account: str) -> dict[str, Any]:
        """What the server keeps of the account: {"state": "absent"} if nothing."""
        path = f"/var/lib/transhumance/accounts/{account}/state.json"
        return json.loads(self.lab.root(server, ["cat", path], check=False) or '{"state": "absent"}')

    def wait_state(self, server: str, account: str, wanted: str, seconds: float) -> dict[str, Any]:
        """The account's state on the server as soon as it is `wanted`."""

        def there() -> dict[str, Any] | None:
            found = self.state(server, account)
            return found if found["state"] == wanted else None

        return wait_for(there, seconds, f"{account} is {wanted} on {server}", pause=0.05)

    def fail_at(self, server: str, point: str) -> None:
        """The next agent that comes to this point on the server is killed there."""
        self.lab.root(server, ["mkdir", "-p", "/run/transhumance"])
        self.lab.root(server, ["tee", "/run/transhumance/failpoint"], stdin=point.encode())

    @contextmanager
    def outage(self, accounts: tuple[str, ...] = ACCOUNTS) -> Iterator[None]:
        """Visitors of these accounts may be turned away in this block, as a server of theirs is switched off."""
        began = time.time()
        try:
            yield
        finally:
            self.outages.append((began, time.time(), accounts))

    @contextmanager
    def cut_cable(self) -> Iterator[None]:
        """The servers reach the operators and the router, and not each other's management address: nothing is passed on
        for the accounts that have left."""
        away = tuple(account for account in ACCOUNTS if self.lives_on(account) == TRANSIT)
        with self.outage(away):
            self._isolate("on")
            try:
                yield
            finally:
                self._isolate("off")

    def _isolate(self, how: str) -> None:
        links = self.lab.in_ns(topology.ROUTER, ["ip", "-j", "link", "show", "master", "mgmt"]).stdout
        for link in json.loads(links):
            if link["ifname"] != "ops":
                state.run(
                    state.in_ns(topology.ROUTER, ["bridge", "link", "set", "dev", link["ifname"], "isolated", how])
                )

    # --- Airflow

    def kill_airflow(self) -> None:
        """SIGKILL for scheduler, workers and triggerer, at once."""
        pids = [entry["pid"] for name, entry in state.recorded().items() if name in WORKING]
        assert len(pids) == len(WORKING)
        family = state.tree(pids)
        for pid in family:
            state.send(pid, signal.SIGKILL)
        state.await_end(family, patience=0)

    def start_airflow(self) -> None:
        """What was killed starts again."""
        self.lab.at_home(airflow.up)

    def begin(self) -> str:
        """Ops ask for the transit on the customer's behalf, unless that was done; gives the run id. They lift the gate:
        not every account was tested."""
        if self._run_id is None:
            asked = self.ops.ask_for_transit(ORIGINAL, stage.ENTRY, "the test is of the path")
            self._run_id = asked["run"]["run_id"]
        return self.run_id

    def handed_over(self) -> registry.Migration:
        """The migration, once the customer has the transit."""
        self.begin()

        def there() -> registry.Migration | None:
            found = self.begun_migration()
            if found and found.state not in ("checking", "waiting_for_transit", "installing_transit"):
                return found
            failed = airflow.run("migrate_server", self.run_id)["state"] == "failed"
            assert not failed, demo.reason("migrate_server", self.run_id)
            return None

        return wait_for(there, 120, "the transit is handed over")

    def migration(self) -> registry.Migration:
        """The migration as the registry has it."""
        return registry.certain(self.begun_migration())

    def begun_migration(self) -> registry.Migration | None:
        """The same, once its run has written it down."""
        with stage.registry_connection() as conn:
            return next((one for one in registry.list_migrations(conn) if one.run_id == self.run_id), None)

    def move(self, run_id: str) -> registry.Move:
        """The move that a run began, once it has."""

        def there() -> registry.Move | None:
            with stage.registry_connection() as conn:
                moves = registry.moves_of(conn, self.migration().id)
            return next((move for move in moves if move.run_id == run_id), None)

        return wait_for(there, 60, f"{run_id} has begun its move")

    def perform(self, account: str) -> str:
        """The customer's click in the panel; gives the run id."""
        # Tests of the behaviour run on machines of any speed, so the wait is wide.
        return self.panel.perform(account, longest_wait_seconds=10)["run"]["run_id"]

    def perform_past_the_panel(self, account: str, name: str = "perform") -> str:
        """The same by Airflow's own API, which lets everything begin; gives the run id."""
        run_id = f"{name}-{account}"
        conf = {"account": account, "to_server": TRANSIT, "requested_by": "the test", "longest_wait_seconds": 10}
        airflow.trigger("move_account", run_id, conf)
        return run_id

    def performed(self, account: str) -> None:
        """The account lives on the transit: it is performed now unless it was."""
        wait_for(lambda: self.lives_on(account), 60, f"the registry knows {account}")
        if self.lives_on(account) == ORIGINAL and self.migration().state == "handed_over":
            self.finish(self.perform(account))

    def everybody_performed(self) -> None:
        """Every account lives on the transit, also the one that the customer creates meanwhile."""
        if self.handed_over().state != "handed_over":
            return
        if "brook" not in self.content:
            self.create_late()
        for account in ACCOUNTS:
            self.performed(account)

    def lives_on(self, account: str) -> str | None:
        """Where the registry has the account; None while it does not know it."""
        with stage.registry_connection() as conn:
            return next((one.server for one in registry.accounts_of(conn, ORIGINAL) if one.name == account), None)

    def leave_behind(self) -> None:
        """A database of nobody on the original, which is therefore not empty when every account has left."""
        self.lab.root(ORIGINAL, ["mariadb", "-e", "CREATE DATABASE IF NOT EXISTS forgotten"])

    def agreed(self) -> None:
        """Somebody agrees to the reinstall by Airflow's API, unless it was agreed to; again where they are asked again.
        On a busy machine an answer is lost that comes before Airflow has heard of the end of the asking process."""
        task = f"/api/v2/dags/migrate_server/dagRuns/{quote(self.run_id, safe='')}/taskInstances/approve_reinstall"

        def over() -> bool:
            tasks = {one["task_id"]: one["state"] for one in airflow.tasks("migrate_server", self.run_id)}
            state = tasks["approve_reinstall"]
            if state == "awaiting_input" and not airflow.call("GET", f"{task}/-1/hitlDetails")["response_received"]:
                airflow.call("PATCH", f"{task}/-1/hitlDetails", {"chosen_options": ["Approve"], "params_input": {}})
            return state == "success"

        wait_for(over, 180, "ops are asked whether the original may be reinstalled, and agree", pause=1)

    def finish(self, run_id: str, dag_id: str = "move_account", seconds: float = 150) -> list[dict[str, Any]]:
        """Waits until a run has ended well, clearing it once if it failed; gives its task instances."""
        cleared: list[str] = []

        def ended() -> bool:
            now = airflow.run(dag_id, run_id)["state"]
            if now == "failed":
                why = demo.reason(dag_id, run_id)
                assert not cleared, f"{run_id} failed twice: {cleared[0]} Then: {why}"
                print(f"{run_id} failed and is cleared: {why}")
                cleared.append(why)
                airflow.clear(dag_id, run_id)
            return now == "success"

        wait_for(ended, seconds, f"{run_id} ends well", pause=0.5)
        return airflow.tasks(dag_id, run_id)

    def refusal(self, dag_id: str, run_id: str) -> str:
        """The sentence with which the first task of a run failed for good; nothing else of it was tried."""
        wait_for(lambda: airflow.run(dag_id, run_id)["state"] in ("failed", "success"), 90, f"{run_id} ends")
        tasks = {task["task_id"]: task for task in airflow.tasks(dag_id, run_id)}
        first = tasks.pop({"migrate_server": "check_server", "move_account": "check_account"}[dag_id])
        assert (first["state"], first["try_number"]) == ("failed", 1)
        assert {task["state"] for task in tasks.values()} <= {"upstream_failed", "skipped"}
        return demo.reason(dag_id, run_id)

    def mark(self, task_id: str, new_state: str) -> None:
        """Marks a task of the migration by hand, as a person in Airflow's page would."""
        path = f"/api/v2/dags/migrate_server/dagRuns/{quote(self.run_id, safe='')}/taskInstances/{task_id}"
        airflow.call("PATCH", path, {"new_state": new_state})

    def clear(self, task_ids: Sequence[str]) -> None:
        """Clears tasks of the migration by hand."""
        body = {"dag_run_id": self.run_id, "task_ids": list(task_ids), "only_failed": False, "dry_run": False}
        airflow.call("POST", "/api/v2/dags/migrate_server/clearTaskInstances", {**body, "reset_dag_runs": True})

    def log(self, task_id: str, words: str, seconds: float = 60) -> str:
        """The latest log of a task of the migration, once it holds these words."""

        def there() -> str:
            task = next(t for t in airflow.tasks("migrate_server", self.run_id) if t["task_id"] == task_id)
            text = ""
            for number in range(1, task["try_number"] + 1):
                text += airflow.task_log("migrate_server", self.run_id, task_id, number)
            return text if words in text else ""

        return wait_for(there, seconds, f"{task_id} says {words!r}", pause=0.5)

    # --- what is on the servers

    def kept(self, server: str, account: str) -> str:
        """All of the account's data on a server but what visitors write, digested by that server's own programs."""
        found = [self.lab.root(server, ["sh", "-c", f"sha256sum /home/{account}/data/* /home/{account}/public_html/*"])]
        if account == "orchard":
            found.append(
                self.sql(server, account, "SELECT count(*), md5(string_agg(note, ',' ORDER BY id)) FROM notes")
            )
        if account == "meadow":
            notes = "SELECT COUNT(*), MD5(GROUP_CONCAT(note ORDER BY id)) FROM notes"
            found.append(self.sql(server, account, f"SET group_concat_max_len = 1000000; {notes}"))
            found.append(self.lab.root(server, ["crontab", "-u", account, "-l"]))
            found += self.mails(server)
        return "\n".join(found)

    def sql(self, server: str, account: str, query: str) -> str:
        """What a query on the account's database gives to root."""
        if account == "orchard":
            argv = ["runuser", "-u", "postgres", "--", "psql", "-X", "-q", "-A", "-t", "-d", account, "-c", query]
        else:
            argv = ["mariadb", "--batch", "--skip-column-names", account, "-e", query]
        return self.lab.root(server, argv).strip()

    def written(self, server: str, account: str) -> list[int]:
        """The numbers that visitors have left in the account on this server."""
        if account in OF_FILES:
            text = self.lab.root(server, ["cat", f"/home/{account}/visits"])
        else:
            text = self.sql(server, account, "SELECT n FROM visits")
        return sorted(int(line) for line in text.split())

    def mails(self, server: str) -> list[str]:
        """Subjects and UIDs in the mailbox, as its customer sees them there."""
        with imaplib.IMAP4(topology.server(server).spec.management_address, timeout=20) as imap:
            imap.login(MAILBOX, self.mail_password)
            imap.select("INBOX", readonly=True)
            data = imap.uid("FETCH", "1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
            return [b" ".join(part).decode().strip() for part in data if isinstance(part, tuple)]

    # --- accounts

    def fill(self, execute_on: Server) -> dict[str, Filled]:
        """The accounts that are there from the start: one on PostgreSQL, one on MariaDB with mail and a crontab, and
        one of files."""
        filled = {
            "orchard": orchard(execute_on),
            "meadow": meadow(execute_on, self.mail_password, lambda: len(self.mails(ORIGINAL))),
            "copse": of_files(execute_on, "copse", 2304),
        }
        for account in filled:
            self.content[account] = self.kept(ORIGINAL, account)
            self.visitors.accounts.append(account)
        return filled

    def create_late(self) -> None:
        """The customer creates another account, on the original, while the migration waits for them."""
        brook = of_files(self.filling(), "brook", 2303)
        airflow.connect_account(brook.account, brook.look, brook.connections)
        self.content["brook"] = self.kept(ORIGINAL, "brook")
        self.visitors.accounts.append("brook")

    def filling(self) -> Server:
        """The original, to fill accounts on."""
        agent = stage.host(ORIGINAL, self.host_key)
        return Server(stage.executor(ORIGINAL), lambda statement: agent.call(verbs.Create(account_file=statement)))


@contextmanager
def farm_of(lab: Lab) -> Iterator[Farm]:
    """Everything anew in the lab that is up: databases, Airflow, the original with its accounts, visitors at it, a test
    server. The plan asks a person before a reinstall."""
    clear_away(lab)
    usual = airflow.environment
    airflow.environment = lambda *args: usual(*args) | SOONER
    farm = None
    with ThreadPoolExecutor() as pool:
        starting = pool.submit(lab.at_home, airflow.up)
        try:
            stage.write_registry()
            with stage.registry_connection() as conn:
                registry.ask_before_reinstall(conn, stage.PLAN, True, "the tests")
            testing = pool.submit(stage.install, TEST, stage.NEW)
            farm = Farm(lab, stage.install_original())
            accounts = farm.fill(farm.filling())
            stage.write_names(accounts, farm.host_key)
            testing.result()
            starting.result()
            stage.connect_airflow(accounts)
            farm.visitors.start()
            yield farm
        finally:
            airflow.environment = usual
            if farm:
                farm.close()
            else:
                airflow.stop()


def clear_away(lab: Lab) -> None:
    """Takes away what a demo or an earlier test run left of Airflow, the registry, the servers and their routes."""
    crowd.stop()
    airflow.stop()
    for report in (state.STATE / "reports").glob("*-*.*"):
        report.unlink()
    for name in postgres.DATABASES:
        postgres.psql("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    postgres.up()
    for name in (ORIGINAL, TRANSIT, TEST):
        one = topology.server(name)
        lab.machines.wipe(one.spec)
        for ip, hop in zip(one.ips, (one.spec.lan_address, one.spec.lan_address6), strict=True):
            family = ["-6"] if ":" in ip else []
            router.execute(["ip", *family, "route", "replace", f"{ip}/{128 if family else 32}", "via", hop])
    for account in ("orchard", "meadow", "copse"):
        for fqdn in (f"{account}.example", f"www.{account}.example"):
            for kind in ("A", "AAAA"):
                lab.names.point(fqdn, kind, lab.names.current(fqdn, kind), None, 5)
