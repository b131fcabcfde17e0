"""What cannot be moved is said before a campaign begins: to ops in its run, to each customer in their account's state;
the campaign goes on with the others."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from include import registry
from include.agent import verbs
from include.agent.host.digest import printable
from include.campaigns import preflight
from include.hosts import AgentError, HostUnreachable
from include.panel import event_text, status
from tests.dags.account_tests import ENTRY, whole
from tests.dags.hosting import Hosting, add_shared
from tests.dags.steps import step
from transhumance_airflow import connections

FORM: dict[str, Any] = {"entry": ENTRY, "accounts": "all", "action": "start", "requested_by": "ops", "reason": None}
FORM |= {"wave_size": 3, "canaries": 0, "most_per_server": 2, "most_failures_percent": 40, "longest_wait_seconds": 2}
LEASE = {
    "sentence": "The files in /home/shop could not be read: data/a\x1b[2Jb: a program holds a lease on it; end it.",
    "who": "customer",
}
STRANGER = {"sentence": "The MariaDB user eve@%, which is no user of shop, may write to its databases.", "who": "host"}


@pytest.fixture
def dag(dags: dict[str, Any], shared: Hosting) -> Any:
    return dags["run_campaign"]


def act(dag: Any, run_id: str = "campaign-run", **more: Any) -> int:
    return step(dag, "act", params={**FORM, **more}, run_id=run_id)


def start(dag: Any, run_id: str = "campaign-run") -> tuple[int, str]:
    """A campaign that is about to begin, and the list that ops read."""
    campaign = act(dag, run_id)
    return campaign, step(dag, "look_ahead", campaign=campaign)


def stands(conn: psycopg.Connection, account: str) -> status.Status:
    return status.of_account(conn, registry.account(conn, account), None, None, lambda _dag, _run: None)


def looks(shared: Hosting) -> list[str]:
    """The accounts of which an agent was asked."""
    return [operation.partition("-")[2].partition("-")[2] for operation in shared.started if "ahead-" in operation]


def told(conn: psycopg.Connection, account: str) -> list[str]:
    found = registry.customers_events(conn, f"customer of {account}")
    return [event_text.for_customer(event) for event in found if event.kind == "account.foreseen"]


def of(conn: psycopg.Connection, campaign: int) -> dict[str, registry.CampaignAccount]:
    return {one.account: one for one in registry.campaign_accounts(conn, campaign)}


def test_before_it_begins_ops_and_customers_read_what_is_in_the_way(dag: Any, shared: Hosting) -> None:
    conn = shared.conn
    shared.obstacles["shop"] = [STRANGER, LEASE]
    campaign, said = start(dag)
    assert said.splitlines() == [
        "2 accounts were looked at; 1 of them cannot be moved.",
        f"shop (web-1) cannot be moved: {STRANGER['sentence']} {preflight.TO_DO['host']}",
        f"shop (web-1) cannot be moved: {printable(LEASE['sentence'])} {preflight.TO_DO['customer']}",
    ]
    accounts = of(conn, campaign)
    assert (accounts["shop"].state, accounts["wiki"].state) == ("left", "waiting")
    reason = registry.certain(accounts["shop"].reason)
    assert "data/a\\x1b[2Jb" in reason and "eve@%" in reason
    assert registry.campaign(conn, campaign).state == "running", "it goes on with the others"
    # The customer reads theirs first, and that it waits for them.
    here = stands(conn, "shop")
    assert (here.state, here.waits_for) == ("blocked", "customer")
    assert here.next.startswith("The files in /home/shop could not be read: data/a\\x1b[2Jb") and "test it" in here.next
    assert len(told(conn, "shop")) == 1 and "cannot be moved" in told(conn, "shop")[0]
    assert told(conn, "wiki") == [] and stands(conn, "wiki").state == "serving"
    # Nothing but names was read, and nothing begun.
    assert {verb for _, verb in shared.log if verb not in ("describe", "start", "status")} == set()
    assert [operation for operation in shared.started if not operation.startswith("ahead-")] == []


def test_asked_for_without_a_campaign_nothing_begins(
    dag: Any, shared: Hosting, caplog: pytest.LogCaptureFixture
) -> None:
    shared.obstacles["shop"] = [LEASE]
    with caplog.at_level("INFO"):
        assert act(dag, action="look") is None
    assert "shop (web-1) cannot be moved: The files in /home/shop" in caplog.text
    assert registry.list_campaigns(shared.conn) == [] and stands(shared.conn, "shop").state == "blocked"
    # Mended, it is looked at again, and its customer is told that too; once each.
    shared.obstacles.clear()
    for _ in range(2):
        act(dag, action="look")
    assert [each.partition(": ")[2][:20] for each in told(shared.conn, "shop")] == [
        "It cannot be moved. ",
        "nothing stands in it",
    ]
    assert stands(shared.conn, "shop").state == "serving"
    assert start(dag)[1] == "2 accounts were looked at; none of them cannot be moved."


def test_what_only_the_host_can_mend_waits_for_the_host(dag: Any, shared: Hosting) -> None:
    shared.obstacles["shop"] = [STRANGER]
    start(dag)
    here = stands(shared.conn, "shop")
    assert here.waits_for == "host" and "eve@%" in here.next and here.next.endswith(status.THE_HOST)


def test_a_recent_report_is_believed_and_an_old_one_looked_behind(
    dag: Any, dags: dict[str, Any], shared: Hosting
) -> None:
    page = {"url": "https://x/", "test_url": "https://y/", "status": [200, 500], "title": ["a", ""], "likeness": 0.1}
    shared.pages = [page | {"php_errors": ["in cart\x1b.php, line 3"], "seconds": [0.1, 0.1]}]
    whole(dags["test_account"], "wiki", ENTRY, "tested-wiki")
    shared.pages = []
    whole(dags["test_account"], "shop", ENTRY, "tested-shop")
    shared.started.clear()
    campaign, said = start(dag)
    assert looks(shared) == []
    assert "wiki (web-1) cannot be moved: Pages that no longer work: https://x/: status 500; in cart\\x1b.php" in said
    assert "Bring the software of the site" in said, "what to do is told as well"
    assert of(shared.conn, campaign)["wiki"].state == "left" and of(shared.conn, campaign)["shop"].state == "waiting"
    here = stands(shared.conn, "wiki")
    assert (here.state, here.waits_for) == ("blocked", "customer") and "https://x/: status 500" in here.next
    # A month later the report without blockers says nothing any more, and the one with blockers still counts.
    shared.conn.execute("UPDATE tests SET tested_at = now() - interval '30 days'")
    registry.stop_campaign(shared.conn, campaign, "a test", "ops")
    _, said = start(dag, "another")
    assert looks(shared) == ["shop"] and "wiki (web-1) cannot be moved: Pages" in said


def test_tested_again_the_older_look_counts_no_more(dag: Any, dags: dict[str, Any], shared: Hosting) -> None:
    shared.obstacles["shop"] = [LEASE]
    act(dag, action="look")
    assert stands(shared.conn, "shop").state == "blocked"
    whole(dags["test_account"])
    assert stands(shared.conn, "shop").state == "tested"


def test_no_server_has_room(dag: Any, shared: Hosting) -> None:
    description = registry.certain(registry.server(shared.conn, "web-2").description)
    registry.record_description(shared.conn, "web-2", {**description, "disk": {"total_bytes": 100, "free_bytes": 10}})
    campaign, said = start(dag)
    assert "shop (web-1) cannot be moved: No shared server with infrastructure 2026 has room for shop" in said
    assert {one.state for one in of(shared.conn, campaign).values()} == {"left"}
    assert stands(shared.conn, "shop").waits_for == "host"
    assert registry.live_move_of(shared.conn, "shop") is None, "the move was begun and undone"


def operation(state: str, result: Any) -> verbs.OperationStatus:
    return verbs.OperationStatus(state=state, progress=verbs.Progress(), result=result, error=None, seconds=0.1)


@pytest.mark.parametrize(
    "result",
    [None, {}, {"obstacles": "no", "left": []}, {"obstacles": [{"sentence": 1, "who": "host"}], "left": []}]
    + [{"obstacles": [{"sentence": "x", "who": "god"}], "left": []}, {"obstacles": [], "left": ["x"] * 1000}],
)
def test_a_strange_answer_is_no_obstacle_and_is_told(
    dag: Any, shared: Hosting, monkeypatch: pytest.MonkeyPatch, result: dict[str, Any] | None
) -> None:
    host = shared.host

    class Strange:
        def call(self, _verb: Any, /) -> Any:
            return operation("succeeded", result)

    monkeypatch.setattr(connections, "host", lambda name, conn=None: host(name) and Strange())
    campaign, said = start(dag)
    assert "shop (web-1) was not looked at: What answers obstacles on this server is not its agent" in said
    assert {one.state for one in of(shared.conn, campaign).values()} == {"waiting"}
    assert told(shared.conn, "shop") == []


@pytest.mark.parametrize(
    ("error", "asked"),
    [(AgentError("timed_out", "psql did not end within 120 s."), 2), (HostUnreachable("It cannot be reached."), 1)],
)
def test_a_server_that_does_not_answer_stops_nothing(
    dag: Any, shared: Hosting, monkeypatch: pytest.MonkeyPatch, error: Exception, asked: int
) -> None:
    calls = []

    class Broken:
        def call(self, verb: Any, /) -> Any:
            calls.append(verb)
            raise error

    monkeypatch.setattr(connections, "host", lambda name, conn=None: Broken())
    campaign, said = start(dag)
    assert said.count("was not looked at") == 2 and len(calls) == asked, "one that is away is asked once"
    assert {one.state for one in of(shared.conn, campaign).values()} == {"waiting"}


def test_a_look_that_lasts_is_waited_for_and_not_for_ever(
    dag: Any, shared: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = iter(["running", "running", "succeeded"])
    monkeypatch.setattr(preflight.time, "sleep", lambda _: None)

    class Slow:
        def call(self, _verb: Any, /) -> Any:
            return operation(next(states, "running"), {"obstacles": [LEASE], "left": ["a\nb"]})

    monkeypatch.setattr(connections, "host", lambda name, conn=None: Slow())
    monkeypatch.setattr(preflight, "ACCOUNT_TIMEOUT", 0.2)
    _, said = start(dag)
    assert "shop (web-1) is moved without this: a\\nb" in said
    assert "wiki (web-1) was not looked at: the look at wiki took too long" in said


def test_who_is_in_somebodys_hands_is_not_looked_at(dag: Any, dags: dict[str, Any], shared: Hosting) -> None:
    registry.begin_test(shared.conn, "shop", ENTRY, "a customer's own", "the customer")
    campaign, said = start(dag)
    assert said.startswith("1 accounts") and of(shared.conn, campaign)["shop"].state == "waiting"


def test_looked_at_again_only_who_has_not_begun(dag: Any, shared: Hosting) -> None:
    add_shared(shared, "blog-2")
    campaign, _ = start(dag)
    registry.set_campaign_account(shared.conn, campaign, "shop", "testing")
    shared.obstacles["shop"] = shared.obstacles["wiki"] = [LEASE]
    step(dag, "look_ahead", campaign=campaign)
    assert {name: one.state for name, one in of(shared.conn, campaign).items()} == {
        "blog-2": "waiting",
        "shop": "testing",
        "wiki": "left",
    }


def test_of_one_engine_its_databases_alone_are_asked_after(dag: Any, shared: Hosting) -> None:
    act(dag, action="look", entry="postgresql-17")
    assert shared.args["obstacles"]["stores"] == ["postgresql"]
    act(dag, action="look")
    assert shared.args["obstacles"]["stores"] == ["files", "postgresql", "mariadb"]


def test_an_account_without_anything_to_move_is_left_and_its_customer_not_bothered(dag: Any, shared: Hosting) -> None:
    nothing = {"sentence": "The account shop has no postgresql databases and no users of them.", "who": "nobody"}
    shared.obstacles["shop"] = [nothing]
    campaign = act(dag, entry="postgresql-17")
    said = step(dag, "look_ahead", campaign=campaign)
    assert f"shop (web-1) cannot be moved: {nothing['sentence']} There is nothing to mend." in said
    assert of(shared.conn, campaign)["shop"].state == "left"
    assert told(shared.conn, "shop") == [] and stands(shared.conn, "shop").state == "serving"
