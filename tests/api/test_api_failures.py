"""After a refused or failed move the panel says so, and why, and who must act, until the next attempt."""

from __future__ import annotations

from typing import Any

from include import registry
from tests.api.world import Api, with_test
from tests.registry import host

WHY = "The copies differ, so nothing was committed: mariadb: a1-1.t: not the same on both sides."
SLOW = "Visitors of a1-1 would wait about 3.9 s, more than the 3 s that are allowed. Change what is slow."


def told(api: Any, account: str = "a1-1") -> tuple[str, str, str]:
    answer = api.get(f"/accounts/{account}").json()
    return answer["state"], answer["waits_for"], answer["next"]


def failed(api: Any, run: str, task: str, why: str, account: str = "a1-1") -> None:
    """Airflow's run has failed, and so it is told to the registry."""
    registry.run_failed(api.conn, "move_account", run, task, why, account, "customer")
    api.runs.fail("move_account", run)


def attempt(api: Any, run: str, *states: str, to: str = "transit-1") -> registry.Move:
    move = registry.begin_move(api.conn, "a1-1", to, run, "customer")
    for state in states:
        move = registry.advance_move(api.conn, move.id, state)
    return move


def test_a_click_is_told_until_something_has_begun(api: Api) -> None:
    host.handed_over(api.conn, 1)
    assert api.post("/accounts/a1-1/perform", {}).status_code == 202
    assert told(api)[:2] == ("waiting", "nobody")
    ((_, run),) = api.runs.started
    attempt(api, run)
    assert told(api)[:2] == ("moving", "nobody")


def test_what_was_refused_after_all_is_told(api: Api) -> None:
    host.handed_over(api.conn, 1)
    assert api.post("/accounts/a1-1/perform", {}).status_code == 202
    ((_, run),) = api.runs.started
    failed(api, run, "check_account", "a1-1 is not ready to move: on vps-1 it is held, not serving")
    state, who, what = told(api)
    assert (state, who) == ("not_moved", "customer") and "on vps-1 it is held, not serving." in what
    assert api.post("/accounts/a1-1/perform", {}).status_code == 202, "it may be asked for again"
    assert told(api)[0] == "waiting"


def test_a_switch_that_failed_is_told_until_the_next_attempt(api: Api) -> None:
    host.handed_over(api.conn, 1)
    attempt(api, "perform-1", "copying", "switching", "returned")
    failed(api, "perform-1", "switch", WHY)
    registry.run_failed(api.conn, "move_account", "perform-1", "close_path", "Airflow: a consequence.", "a1-1", "ops")
    state, who, what = told(api)
    assert (state, who) == ("not_moved", "host") and what.startswith(WHY)
    attempt(api, "perform-2")
    assert told(api)[:2] == ("moving", "nobody")


def test_a_wait_that_would_be_too_long_is_the_customers_to_mend(api: Api) -> None:
    host.handed_over(api.conn, 1)
    move = attempt(api, "perform-1", "copying", "switching")
    registry.put_off(api.conn, move.id, SLOW)
    registry.advance_move(api.conn, move.id, "returned")
    failed(api, "perform-1", "switch", SLOW)
    state, who, what = told(api)
    assert (state, who) == ("not_moved", "customer") and what.startswith(SLOW)


def test_a_run_that_is_cleared_has_not_failed_any_more(api: Api) -> None:
    host.handed_over(api.conn, 1)
    attempt(api, "perform-1", "copying", "returned")
    failed(api, "perform-1", "copy", WHY)
    assert told(api)[0] == "not_moved"
    del api.runs.started["move_account", "perform-1"]
    assert told(api)[0] == "not_moved", "the registry remembers it longer than Airflow does"
    api.runs.start("move_account", "perform-1", {}, "ops", "cleared")
    assert told(api)[0] == "serving"


def test_a_look_that_differs_after_the_move_is_told(api: Api) -> None:
    host.handed_over(api.conn, 1)
    attempt(api, "perform-1", "copying", "switching", "committed", "done")
    failed(api, "perform-1", "look_after", "https://a1-1.example/live/ answers with another status: 502, not 200.")
    state, who, what = told(api)
    assert (state, who) == ("differs", "host") and "502, not 200" in what


def test_the_way_home_says_what_stopped_it(api: Api) -> None:
    id = host.reinstalled(api.conn, 1)
    assert told(api) == ("away", "nobody", "It moves home by itself, one account after the other.")
    move = attempt(api, f"home-{id}-a1-1", "copying", "switching", to="vps-1")
    registry.put_off(api.conn, move.id, SLOW)
    registry.advance_move(api.conn, move.id, "returned")
    failed(api, f"home-{id}-a1-1", "switch", SLOW)
    state, who, what = told(api)
    assert (state, who) == ("not_moved", "nobody") and "tried again by itself at a quieter moment" in what
    api.runs.fail("migrate_server", "run-1")
    assert told(api)[:2] == ("not_moved", "host")
    assert told(api, "a1-2")[:2] == ("away", "host")
    server = api.get("/servers/vps-1").json()
    assert server["waits_for"] == "host" and f"a1-1 did not move home: {SLOW}" in server["next"]


def fail_test(api: Any, run: str, task: str, why: str) -> None:
    registry.run_failed(api.conn, "test_account", run, task, why, "s1", "customer")
    api.runs.fail("test_account", run)


def test_a_test_that_failed_or_was_refused_says_why_until_the_next(api: Api) -> None:
    assert told(api, "s1")[0] == "serving"
    fail_test(api, "t-1", "check_account", "No test server with infrastructure 2026 has room for s1: add one.")
    state, who, what = told(api, "s1")
    assert (state, who) == ("not_tested", "customer") and what.startswith("No test server")
    test = registry.begin_test(api.conn, "s1", "2026", "t-2", "customer")
    assert told(api, "s1")[:2] == ("testing", "nobody")
    fail_test(api, "t-2", "duplicate", "The copy of a\\x1b broke off.")
    assert told(api, "s1") == (
        "testing",
        "host",
        "A step did not succeed: The copy of a\\x1b broke off. The host looks at it and goes on from there.",
    )
    registry.advance_test(api.conn, test.id, "removing", failure="The copy broke off.")
    registry.advance_test(api.conn, test.id, "removed")
    state, who, what = told(api, "s1")
    assert (state, who) == ("not_tested", "host") and what.startswith("The copy of a") and "tested again" in what
    del api.runs.started["test_account", "t-2"]
    api.runs.start("test_account", "t-2", {}, "ops", "cleared")
    assert told(api, "s1")[0] == "serving", "a run that was cleared has not failed any more"
    # What fails after the report was written does not take the test back.
    with_test(api.conn, "s1")
    assert told(api, "s1")[0] == "tested"
    fail_test(api, "test-s1-0", "close_path", "The test server is gone.")
    assert told(api, "s1")[0] == "tested"


def test_a_migration_that_stopped_says_why(api: Api) -> None:
    host.begin(api.conn, 1)
    registry.run_failed(api.conn, "migrate_server", "run-1", "install_transit", "No image of 2026.", None, "ops")
    assert "No image" not in api.get("/servers/vps-1").json()["next"], "Airflow's run goes on: it is tried again"
    api.runs.fail("migrate_server", "run-1")
    here = api.get("/servers/vps-1").json()
    assert here["waits_for"] == "host"
    assert here["next"] == "A step did not succeed: No image of 2026. The host looks at it and goes on from there."


def test_a_migration_that_was_refused_after_all_says_why(api: Api) -> None:
    why = "Server vps-1 cannot be reached."
    registry.run_failed(api.conn, "migrate_server", "run-0", "check_server", why, None, "customer", "vps-1")
    api.runs.fail("migrate_server", "run-0")
    here = api.get("/servers/vps-1").json()
    assert (here["state"], here["waits_for"]) == ("serving", "customer")
    assert here["next"] == f"{why} Ask for a transit again then."
    events = api.get("/servers/vps-1/events").json()["events"]
    assert f"A step did not succeed: {why}" in [one["sentence"] for one in events]
    assert api.get("/servers/vps-2", customer="customer-2").json()["next"] != here["next"]
    host.begin(api.conn, 1)
    assert api.get("/servers/vps-1").json()["state"] == "checking"
    registry.run_failed(api.conn, "migrate_server", "run-9", "check_server", why, None, "ops", "vps-404")


def test_what_stands_in_the_way_is_told_with_whose_it_is(api: Api) -> None:
    lease = {"sentence": "The files cannot be read: data/a: a program holds a lease on it; end it.", "who": "customer"}
    eve = {"sentence": "The MariaDB user eve@% may write to its databases", "who": "host"}
    registry.foresee(api.conn, "s1", "2026", [eve, lease], [], "It cannot be moved.", "campaign 1")
    state, who, what = told(api, "s1")
    assert (state, who) == ("blocked", "customer")
    assert what == f"{lease['sentence']} {eve['sentence']}. Correct what the report says, then test it again."
    registry.foresee(api.conn, "s1", "2026", [eve], [], "It cannot be moved.", "campaign 1")
    assert told(api, "s1")[1] == "host"
    page = api.get("/accounts/s1/events").json()
    assert [one["sentence"] for one in page["events"] if one["kind"] == "account.foreseen"] == [
        "Before s1 is moved: It cannot be moved.",
    ] * 2
    assert told(api, "a1-1")[0] == "serving"


def test_ops_read_who_was_not_moved_and_why(api: Api) -> None:
    settings = dict(zip(registry.CAMPAIGN_SETTINGS, (1, 1, 1, 20, 1), strict=True))
    id = registry.begin_campaign(api.conn, "2026", "campaign-1", "ops", ["s1", "s2"], settings).id
    registry.set_campaign_account(api.conn, id, "s1", "left", "It cannot be moved. data/a is too deep.")
    (one,) = api.get("/campaigns", "ops", None).json()["campaigns"]
    assert one["accounts"] == {"left": 1, "waiting": 1}
    assert one["not_moved"] == {"s1": "It cannot be moved. data/a is too deep."}
