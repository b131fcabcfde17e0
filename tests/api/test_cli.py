"""The command line against the API itself: tables, JSON, progress, what it says when it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from cli import client, commands
from include import billing, registry
from include.moves.requirements import Judged
from include.settings import Settings
from tests.api.world import Api, with_test
from tests.registry import host
from transhumance_airflow.api import streams
from transhumance_airflow.api.runs import Found

COMMANDS = {
    "overview", "server", "account", "test", "perform", "ask", "cancel", "queue", "charges", "campaigns", "unclaimed",
    "sign", "follow", "enrol", "doctor", "upgrade", "discover", "adopt", "prepare", "unprepare",
}  # fmt: skip


@pytest.fixture
def run(api: Api, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a command as ops; gives its result, with stdout and stderr apart."""
    whole = FastAPI()
    whole.mount("/transhumance", api.client.app)
    http = TestClient(whole, raise_server_exceptions=False)
    monkeypatch.setattr(client, "settings", lambda: ("http://testserver", "ops"))
    monkeypatch.setattr(client.httpx, "Client", lambda **_: http)
    monkeypatch.setattr(commands.time, "sleep", lambda _: None)
    monkeypatch.setattr(commands.console, "width", 200)
    monkeypatch.setattr(streams, "LIFETIME_SECONDS", 0.1)
    return lambda *words: CliRunner().invoke(commands.app, list(words))


def test_the_commands_are_those_of_the_docs() -> None:
    assert {one.callback.__name__ for one in commands.app.registered_commands if one.callback} == COMMANDS


def test_overview_server_and_account(api: Api, run: Callable[..., Any]) -> None:
    host.handed_over(api.conn, 1)
    with_test(api.conn, "s1", blockers=1)
    said = run("overview").stdout
    assert "vps-1" in said and "handed_over" in said and "customer" in said and "s2" in said
    said = run("server", "vps-1").stdout
    assert "transit-1" in said and "reinstalling" in said and "a1-2" in said
    said = run("account", "s1").stdout
    assert "blocked" in said and "1 things stop it." in said and "A new Debian" in said
    parsed = json.loads(run("server", "vps-1", "--json").stdout)
    told = api.get("/servers/vps-1", user="ops", customer=None).json()
    for each in (parsed, told):
        each["transit"].pop("seconds_free")  # the countdown goes on meanwhile
    assert parsed == told


def test_a_customers_view_is_the_customers(api: Api, run: Callable[..., Any]) -> None:
    parsed = json.loads(run("overview", "--json", "--customer", "customer-2").stdout)
    assert [one["server"] for one in parsed["servers"]] == ["vps-2"]
    assert [one["account"] for one in parsed["accounts"]] == ["a2-1", "a2-2", "s2"]


def test_queue_charges_and_campaigns(api: Api, run: Callable[..., Any]) -> None:
    billing.apply_settings(api.conn, Settings("Europe/Paris"))
    host.handed_over(api.conn, 1)
    id = host.begin(api.conn, 2)
    registry.request_transit(api.conn, id)
    assert "vps-2" in run("queue").stdout
    assert "If you finish by" in run("charges", "vps-1").stdout
    registry.begin_campaign(
        api.conn,
        "2026",
        "campaign-1",
        "ops",
        ["s1", "s2"],
        {"wave_size": 1, "canaries": 1, "most_per_server": 1, "most_failures_percent": 20, "longest_wait_seconds": 1},
    )
    assert "2 waiting" in run("campaigns").stdout


def test_what_is_no_accounts_is_shown_and_signed_for(api: Api, run: Callable[..., Any]) -> None:
    registry.record_unclaimed(api.conn, "vps-1", [("files", "/srv/erp/", "3 files."), ("mount", "/data", "A disk.")])
    said = run("unclaimed", "vps-1").stdout
    assert "/srv/erp/" in said and "A disk." in said
    said = run("sign", "vps-1", "files", "/srv/erp/", "--reason", "the customer knows")
    assert said.exit_code == 0 and "ops ops" in said.stdout and "the customer knows" in said.stdout
    told = json.loads(run("unclaimed", "vps-1", "--json").stdout)["unclaimed"]
    assert [(one["name"], one["signed_by"]) for one in told] == [("/data", None), ("/srv/erp/", "ops ops")]
    refused = run("sign", "vps-1", "files", "/srv", "--reason", "a guess")
    assert refused.exit_code == 1 and "was seen on vps-1" in " ".join(refused.stderr.split())
    assert run("unclaimed", "nowhere").exit_code == 1
    assert run("unclaimed", "transit-1").exit_code == 0, "a transit is looked at as well"


def test_actions_start_runs_and_show_where(api: Api, run: Callable[..., Any]) -> None:
    said = run("ask", "vps-1", "2026", "--lift-gate-because", "a test")
    assert said.exit_code == 0 and "migrate_server" in said.stdout and "queued" in said.stdout
    run("test", "s1", "2026")
    host.handed_over(api.conn, 1)
    assert "move_account" in run("perform", "a1-1", "--longest-wait-seconds", "2").stdout
    assert "manage_transits" in run("cancel", "vps-1", "a change of mind").stdout
    assert {dag for dag, _ in api.runs.started} == {"migrate_server", "test_account", "move_account", "manage_transits"}


def test_waiting_shows_progress_and_ends_with_the_run(
    api: Api, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    host.handed_over(api.conn, 1)
    asked = []

    def find_any(run_id: str) -> Found | None:
        asked.append(run_id)
        found = next((one for (_, id), one in api.runs.started.items() if id == run_id), None)
        state = "running" if len(asked) < 4 else "failed"
        return found and Found(found.dag_id, found.run_id, state, found.conf, found.asked_at)

    monkeypatch.setattr(api.runs, "find_any", find_any)
    done = run("perform", "a1-1", "--wait")
    assert done.exit_code == 1 and "The run failed" in done.stderr and len(asked) == 4


def test_a_refusal_is_a_line_on_stderr_and_exit_code_1(run: Callable[..., Any], api: Api) -> None:
    refused = run("perform", "a1-1")
    assert refused.exit_code == 1 and refused.stdout == ""
    assert "has no transit: ask for one" in " ".join(refused.stderr.split())
    assert run("server", "no-such").exit_code == 1


def test_it_says_which_setting_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "TOKEN", "USER", "PASSWORD"):
        monkeypatch.delenv(f"TRANSHUMANCE_{name}", raising=False)
    said = CliRunner().invoke(commands.app, ["overview"])
    assert said.exit_code == 1 and "set TRANSHUMANCE_URL" in said.stderr
    monkeypatch.setenv("TRANSHUMANCE_URL", "http://127.0.0.1:9")
    assert "set TRANSHUMANCE_TOKEN" in " ".join(CliRunner().invoke(commands.app, ["overview"]).stderr.split())
    monkeypatch.setenv("TRANSHUMANCE_USER", "a")
    monkeypatch.setenv("TRANSHUMANCE_PASSWORD", "b")
    assert "does not answer" in " ".join(CliRunner().invoke(commands.app, ["overview"]).stderr.split())


def test_a_user_and_password_become_a_token() -> None:
    def token(request: httpx.Request) -> httpx.Response:
        right = json.loads(request.content) == {"username": "ops", "password": "secret"}
        return httpx.Response(201, json={"access_token": "t"}) if right else httpx.Response(401)

    with httpx.Client(transport=httpx.MockTransport(token), base_url="http://airflow.example") as http:
        assert client.fetch_token(http, "ops", "secret") == "t"
        with pytest.raises(client.CallFailed, match="check user and password"):
            client.fetch_token(http, "ops", "wrong")


def test_a_call_whose_answer_was_lost_is_made_again_with_the_same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) == 1:
            raise httpx.ReadTimeout("lost")
        return httpx.Response(503, headers={"Retry-After": "1"}) if len(keys) == 2 else httpx.Response(202, json={})

    monkeypatch.setattr(client.time, "sleep", lambda _: None)
    with httpx.Client(transport=httpx.MockTransport(answer), base_url="http://airflow.example") as http:
        assert client.Client(http, "t").post("/servers/vps-1/transit", entry="e") == {}
    assert len(keys) == 3 and len(set(keys)) == 1


def test_following_goes_on_behind_the_last_event_after_a_break(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    event = 'event: move.done\ndata: {"id": %d}\nid: %d\n\n'

    def stream(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("Last-Event-ID"))
        first = 2 * len(asked) - 1
        text = ": following\n\n" + event % (first, first) + ": ping\n\n" + event % (first + 1, first + 1)
        return httpx.Response(200, text=text, headers={"Content-Type": "text/event-stream"})

    with httpx.Client(transport=httpx.MockTransport(stream), base_url="http://airflow.example") as http:
        following = client.Client(http, "t", "Bergère & fils").follow("/stream")
        assert [next(following)["id"] for _ in range(4)] == [1, 2, 3, 4]
    assert asked == [None, "2"]


def test_follow_prints_events(api: Api, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    host.handed_over(api.conn, 1)

    def once(self: client.Client, path: str, last: int | None = None) -> Iterator[dict[str, Any]]:
        with self.http.stream("GET", client.BASE + path, headers={**self.headers, "Last-Event-ID": "0"}) as answer:
            yield from client.events(answer.iter_lines())

    monkeypatch.setattr(client.Client, "follow", once)
    said = run("follow", "--server", "vps-1").stdout
    assert "vps-1: customer performs" in said
    lines = [json.loads(line) for line in run("follow", "--account", "a1-1", "--json").stdout.splitlines()]
    assert {line["account"] for line in lines} == {"a1-1"}


def test_nothing_in_an_answer_is_markup() -> None:
    from cli import tables

    text = tables.event({"at": "2026-11-25T12:00:00Z", "account": "[red]x", "server": None, "sentence": "[bold]no"})
    assert "[red]x" in text.plain and "[bold]no" in text.plain


JUDGED = [
    Judged("enrolled", True, "Its host key is pinned."),
    Judged("agent", False, "vps-1 has the agent 0123, and this orchestrator's is 4567: type python -m cli upgrade."),
    Judged("rsync", False, "vps-1 has rsync 3.2.7: install 3.5.0 or later."),
]


@pytest.fixture
def fleet(api, monkeypatch):
    """The doctor has seen vps-1; a run that is started has ended at once, `state` says how."""
    registry.record_judged(api.conn, "vps-1", JUDGED)
    state = ["success"]

    def start(dag_id: str, run_id: str, conf: dict[str, Any], by: str, note: str) -> Found:
        found = Found(dag_id, run_id, state[0], conf, datetime.now(UTC))
        return api.runs.started.setdefault((dag_id, run_id), found)

    monkeypatch.setattr(api.runs, "start", start)
    return state


def test_a_doctors_lines_are_a_table_and_what_is_not_met_is_a_failure(api, run, fleet):
    done = run("doctor", "vps-1")
    assert done.exit_code == 1 and "install 3.5.0 or later." in done.stdout and "NO" in done.stdout
    assert api.runs.of("look_at_servers")[-1]["server"] == "vps-1"
    done = run("doctor", "all", "--json")
    assert [each["requirement"] for each in json.loads(done.stdout)["requirements"]] == ["enrolled", "agent", "rsync"]
    assert api.runs.of("look_at_servers")[-1]["server"] is None
    registry.record_judged(api.conn, "vps-1", JUDGED[:1])
    assert run("doctor", "vps-1").exit_code == 0
    done = run("doctor", "vps-9")
    assert done.exit_code == 1 and "There is no server vps-9" in done.stderr


def test_who_has_which_agent_is_told_also_when_some_have_not_taken_it(api, run, fleet):
    done = run("upgrade")
    assert done.exit_code == 0 and "python -m cli upgrade" in done.stdout
    assert api.runs.of("upgrade_agents")[-1]["server"] is None
    fleet[0] = "failed"
    done = run("upgrade", "vps-1")
    assert done.exit_code == 1 and "vps-1" in done.stdout and "The run failed" in done.stderr


def test_who_lives_on_a_server_is_found_and_adopted(api, run, fleet):
    fit = registry.DiscoveredAccount("a1-1", "/home/a1-1", ["a1-1.example", "www.a1-1.example"], [])
    unfit = registry.DiscoveredAccount("web1", "/var/www/web1", ["[b]web1[/b].example"], ["Its pool is at a port."])
    assert "Accounts" in run("discover", "vps-1").stdout, "nobody has looked yet"
    registry.record_discovery(api.conn, "vps-1", [fit, unfit], ["Nobody has /srv/x."])
    done = run("discover", "vps-1")
    assert done.exit_code == 0 and "www.a1-1.example" in done.stdout and "Its pool is at a port." in done.stdout
    assert "Nobody has /srv/x." in done.stdout and "[b]web1[/b].example" in done.stdout
    asked = api.runs.of("adopt_accounts")[-1]
    assert (asked["server"], asked["accounts"]) == ("vps-1", [])
    adopted = json.loads(run("adopt", "vps-1", "a1-1", "web1", "--json").stdout)["accounts"]
    assert [(each["name"], each["adopted"]) for each in adopted] == [("a1-1", True), ("web1", False)]
    assert api.runs.of("adopt_accounts")[-1]["accounts"] == ["a1-1", "web1"]
    assert run("adopt", "vps-1").exit_code == 2, "which ones has to be said"
    assert run("adopt", "vps-1", "../x").exit_code == 1 and run("discover", "nowhere").exit_code == 1


def test_a_server_is_enrolled_by_an_access_of_the_hosts(api, run, fleet):
    fingerprint = "SHA256:" + "a" * 43
    done = run("enrol", "vps-1", "--access", "web_root", "--host-key", fingerprint)
    assert done.exit_code == 0 and "enrolled" in done.stdout
    asked = api.runs.of("enrol_server")[-1]
    assert (asked["server"], asked["access"], asked["host_key"]) == ("vps-1", "web_root", fingerprint)
    assert "host key" in run("enrol", "vps-1", "--host-key", "x").stderr.replace("_", " ")


def test_a_hosts_own_server_is_prepared_and_made_as_it_was(api, run, fleet):
    done = run("prepare", "vps-1")
    assert done.exit_code == 0 and "enrolled" in done.stdout
    assert api.runs.of("prepare_server")[-1]["take_away"] is False
    done = run("unprepare", "vps-1")
    assert done.exit_code == 0 and api.runs.of("prepare_server")[-1]["take_away"] is True
    fleet[0] = "failed"
    done = run("prepare", "vps-1")
    assert done.exit_code == 1 and "The run failed" in done.stderr
