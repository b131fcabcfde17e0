"""What the API tells: states, what is next and who must act, the queue, the countdown, charges, events, streams."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from httpx import Response

from include import billing, registry
from include.registry.queries import panel
from include.settings import Settings
from tests.api.world import Api, with_test
from tests.registry import host
from transhumance_airflow.api import database, streams


def standing(answer: Response) -> tuple[str, str]:
    assert answer.status_code == 200, answer.text
    return answer.json()["state"], answer.json()["waits_for"]


def test_a_server_from_its_tests_to_its_end(api: Api) -> None:
    assert standing(api.get("/servers/vps-1")) == ("serving", "customer")
    assert "Account a1-2 has not been tested" in api.get("/servers/vps-1").json()["next"]
    for account in ("a1-1", "a1-2"):
        with_test(api.conn, account)
    assert api.get("/servers/vps-1").json()["next"] == "Ask for a transit: A new Debian is open."
    id = registry.begin_migration(api.conn, "vps-1", "2026", "run-1", "customer").id
    assert standing(api.get("/servers/vps-1")) == ("checking", "nobody")
    registry.pause_server(api.conn, "transit-1", "a fan", "ops")
    registry.request_transit(api.conn, id)
    waiting = api.get("/servers/vps-1")
    assert standing(waiting) == ("waiting_for_transit", "host")
    assert waiting.json()["next"] == (
        "Place 1 of 1 in the queue: a transit is expected at a time that cannot be told yet."
    )
    assert waiting.json()["transit"]["queue"] == {"place": 1, "of": 1, "expected": None}
    (place,) = api.get("/queue", user="ops", customer=None).json()["waiting"]
    assert (place["server"], place["customer"], place["place"]) == ("vps-1", "customer-1", 1)
    registry.resume_server(api.conn, "transit-1", "ops")
    assert api.get("/servers/vps-1/transit").json()["queue"]["expected"] is not None
    registry.assign_transit(api.conn, id)
    assert standing(api.get("/servers/vps-1")) == ("installing_transit", "nobody")
    registry.enrol_server(api.conn, "transit-1", "2026", host.KEY + "new", {})
    billing.apply_settings(api.conn, Settings("Europe/Paris"))
    registry.hand_over(api.conn, id)
    handed_over = api.get("/servers/vps-1").json()
    assert (handed_over["state"], handed_over["waits_for"]) == ("handed_over", "customer")
    assert handed_over["next"] == "Perform what still lives on the server: a1-1, a1-2."
    assert 6 * 86400 < handed_over["transit"]["seconds_free"] <= 7 * 86400 + 3600
    reached = {step["state"]: step["reached_at"] for step in handed_over["migration"]["path"]}
    assert reached["handed_over"] and not reached["accounts_moved"]
    assert (handed_over["progress"]["done"], handed_over["progress"]["of"]) == (3, 11)
    host.moved(api.conn, "a1-1", "transit-1")
    registry.begin_move(api.conn, "a1-2", "transit-1", "r", "customer")
    assert standing(api.get("/servers/vps-1")) == ("handed_over", "nobody")
    assert standing(api.get("/accounts/a1-2")) == ("moving", "nobody")
    assert standing(api.get("/accounts/a1-1")) == ("away", "nobody")


def test_the_end_is_expected_by_what_is_usual(api: Api) -> None:
    assert panel.usual_rest(api.conn, "accounts_moved") is None and panel.usual_move(api.conn, "a2-1") is None
    host.done(api.conn, 1)
    assert registry.certain(panel.usual_rest(api.conn, "accounts_moved")).total_seconds() >= 0
    host.reinstalled(api.conn, 2)
    moving = registry.begin_move(api.conn, "a2-1", "vps-2", "home", "ops")
    account = api.get("/accounts/a2-1", customer="customer-2").json()
    server = api.get("/servers/vps-2", customer="customer-2")
    assert account["progress"]["expected_end"] >= moving.began_at.isoformat()[:19]
    assert server.json()["state"] == "reinstalled" and server.json()["progress"]["expected_end"]


def test_a_failed_run_waits_for_the_host(api: Api) -> None:
    host.handed_over(api.conn, 1)
    move = registry.begin_move(api.conn, "a1-1", "transit-1", "perform-1", "customer")
    assert standing(api.get("/accounts/a1-1")) == ("moving", "nobody")
    api.runs.fail("move_account", move.run_id)
    api.runs.fail("migrate_server", "run-1")
    assert standing(api.get("/accounts/a1-1")) == ("moving", "host")
    assert standing(api.get("/servers/vps-1")) == ("handed_over", "host")


def test_a_reinstall_that_somebody_has_to_agree_to_waits_for_the_host(api: Api) -> None:
    id = host.handed_over(api.conn, 1)
    for account in ("a1-1", "a1-2"):
        host.moved(api.conn, account, "transit-1")
    registry.last_account_left(api.conn, id)
    for name in registry.names_of(api.conn, "vps-1"):
        registry.name_points(api.conn, name.fqdn, name.type, "198.51.100.101")
    for ip in registry.ips_of(api.conn, "vps-1"):
        registry.ip_routed(api.conn, ip.address, "transit-1")
    registry.advance(api.conn, id, "rerouted")
    registry.advance(api.conn, id, "original_empty")
    assert standing(api.get("/servers/vps-1")) == ("original_empty", "nobody")
    registry.ask_before_reinstall(api.conn, "small", True, "ops")
    assert standing(api.get("/servers/vps-1")) == ("original_empty", "host")
    registry.answer_approval(api.conn, id, True, "ops")
    assert standing(api.get("/servers/vps-1")) == ("original_empty", "nobody")


def test_an_account_and_its_tests(api: Api) -> None:
    assert api.get("/accounts/a1-1").json()["next"] == "Test it: A new Debian is open."
    begun = registry.begin_test(api.conn, "a1-1", "2026", "run-t", "customer")
    assert standing(api.get("/accounts/a1-1")) == ("testing", "nobody")
    api.runs.fail("test_account", "run-t")
    assert standing(api.get("/accounts/a1-1")) == ("testing", "host")
    assert api.get(f"/accounts/a1-1/tests/{begun.id}/report").status_code == 409
    registry.advance_test(api.conn, begun.id, "removing", failure="The copy failed.")
    registry.advance_test(api.conn, begun.id, "removed")
    test = with_test(api.conn, "a1-1", blockers=2)
    assert standing(api.get("/accounts/a1-1")) == ("blocked", "customer")
    newest, oldest = api.get("/accounts/a1-1/tests").json()["tests"]
    assert (newest["id"], newest["blockers"], newest["sentence"]) == (test.id, 2, "2 things stop it.")
    assert newest["names"] == test.names and newest["expires_at"]
    assert oldest["sentence"] == oldest["failure"] == "The copy failed."
    report = api.client.get(
        newest["report"].removeprefix("/transhumance"),
        headers={"Authorization": "Bearer panel", "Transhumance-Customer": "customer-1"},
    )
    assert report.json()["verdict"] == "blocked" and report.json()["copied"]["files"] == 3
    assert api.get(f"/accounts/a1-2/tests/{test.id}").status_code == 404, "a test is its account's"
    registry.replace_test(api.conn, "a1-1", "again")
    registry.advance_test(api.conn, test.id, "removed")
    with_test(api.conn, "a1-1")
    assert standing(api.get("/accounts/a1-1")) == ("tested", "customer")
    assert "Account a1-2 has not been tested" in api.get("/accounts/a1-1").json()["next"]


def test_a_shared_account_belongs_to_its_own_customer(api: Api) -> None:
    assert [one["account"] for one in api.get("/accounts").json()["accounts"]] == ["a1-1", "a1-2", "s1"]
    assert api.get("/accounts/s2").status_code == 404
    with_test(api.conn, "s1")
    assert api.get("/accounts/s1").json()["next"] == "Perform it: A new Debian is open."


def test_open_migrations_come_with_pages_deadlines_and_what_is_in_the_way(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    from include import catalogue
    from transhumance_airflow.api import catalogue as files

    monkeypatch.setattr(files, "entries", lambda _: catalogue.load())
    registry.sync_catalogue(api.conn, catalogue.load().values())
    open_ = {one["entry"]: one for one in api.get("/accounts/s1/migrations").json()["migrations"]}
    found = open_["infrastructure-2026"]
    assert found["page"] == catalogue.load()["infrastructure-2026"].page and "<h" in found["page_html"]
    assert found["incompatibilities"] and {"title", "fix"} <= set(found["incompatibilities"][0])
    assert found["why_not"] == "Account s1 has not been tested for infrastructure-2026: test it."
    assert found["test"] is None
    late = registry.Entry("later", "Later", "infrastructure", "2022", "2026", False, date(2999, 1, 1), None)
    registry.sync_catalogue(api.conn, [late])
    assert "later" not in {one["entry"] for one in api.get("/accounts/s1/migrations").json()["migrations"]}


def test_the_catalogue_is_taken_over_from_its_files_unless_they_are_wrong(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from include import catalogue
    from transhumance_airflow.api import catalogue as files

    monkeypatch.undo()
    known = {entry.name for entry in registry.list_catalogue(api.conn)}
    assert set(files.entries(api.conn)) == set(catalogue.load()) > set()
    assert {entry.name for entry in registry.list_catalogue(api.conn)} == known | set(catalogue.load())
    (tmp_path / "wrong.yaml").write_text("title: [")
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path)
    monkeypatch.setattr(catalogue, "load", lambda: catalogue.files.load(tmp_path))
    assert files.entries(api.conn) == {}


def test_a_catalogue_page_is_shown_and_not_run() -> None:
    from transhumance_airflow.api.catalogue import as_html

    assert "<script>" not in as_html("# A title\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1))")
    assert 'href="javascript' not in as_html("[x](javascript:alert(1))")


def test_charges_and_what_they_will_be(api: Api) -> None:
    assert api.get("/servers/vps-1/charges").status_code == 409
    billing.apply_settings(api.conn, Settings("Europe/Paris"))
    host.handed_over(api.conn, 1)
    told = api.get("/servers/vps-1/charges").json()
    assert told["sentence"].startswith("If you finish by ") and told["currency"] == "EUR"
    assert (told["charged"], told["charges"]) == ("0.00", [])
    api.conn.execute(f"ALTER DATABASE {api.conn.info.dbname} SET transhumance.clock_offset = '10 days'")
    api.conn.execute("SET transhumance.clock_offset = '10 days'")
    database.forget()
    billing.bill_days(api.conn)
    told = api.get("/servers/vps-1/charges").json()
    assert len(told["charges"]) >= 1 and {one["kind"] for one in told["charges"]} == {"charge"}
    assert Decimal(told["charged"]) == sum(Decimal(one["amount"]) for one in told["charges"]) > 0
    assert told["forecast"][0]["total"] >= told["charged"]


def test_events_come_in_pages_and_a_customer_is_told_what_concerns_them(api: Api) -> None:
    host.handed_over(api.conn, 1)
    seen, after = [], 0
    while page := api.get("/events", params={"after": after, "limit": 3}).json()["events"]:
        seen += page
        after = page[-1]["id"]
    kinds = [event["kind"] for event in seen]
    assert kinds[:2] == ["account.added", "account.added"] and kinds[-1] == "migration.handed_over"
    assert "server.enrolled" not in kinds and {event["account"] for event in seen} <= {None, "a1-1", "a1-2", "s1"}
    assert all(event["by"] is event["detail"] is None and event["sentence"].endswith(".") for event in seen)
    assert "ssh-ed25519" not in str(seen)
    everything = api.get("/events", user="ops", customer=None, params={"limit": 1000}).json()["events"]
    assert {"server.enrolled", "account.added"} <= {event["kind"] for event in everything}
    assert any(event["detail"] for event in everything)
    of_server = api.get("/servers/vps-1/events").json()["events"]
    assert {event["kind"] for event in of_server} >= {"account.added", "migration.began", "migration.handed_over"}
    of_account = api.get("/accounts/a1-1/events").json()["events"]
    assert {event["account"] for event in of_account} == {"a1-1"}


def stream(
    api: Api, path: str, last: int | None, customer: str | None = "customer-1", user: str = "panel"
) -> list[str]:
    headers = {"Authorization": f"Bearer {user}"} | ({} if customer is None else {"Transhumance-Customer": customer})
    headers |= {} if last is None else {"Last-Event-ID": str(last)}
    answer = api.client.get(f"/v1{path}", headers=headers)
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/event-stream")
    return answer.text.splitlines()


@pytest.mark.parametrize("path", ["/stream", "/servers/vps-1/stream", "/accounts/a1-1/stream"])
def test_a_stream_goes_on_behind_the_last_event_that_was_seen(
    api: Api, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(streams, "LIFETIME_SECONDS", 0.2)
    monkeypatch.setattr(streams, "POLL_SECONDS", 0.05)
    host.handed_over(api.conn, 1)
    before = registry.settled(api.conn)
    assert not [line for line in stream(api, path, None) if line.startswith("id:")], "from now on"
    host.moved(api.conn, "a1-1", "transit-1")
    lines = stream(api, path, before)
    assert "event: move.committed" in lines and "retry: 1000" in lines
    ids = [int(line[3:]) for line in lines if line.startswith("id:")]
    assert ids == sorted(set(ids)) and ids[0] > before
    assert stream(api, path, ids[-2]).count(f"id: {ids[-1]}") == 1
    assert not [line for line in stream(api, path, ids[-1]) if line.startswith("id:")]
    assert "a1-1 lives on its new server." in "\n".join(lines)


def test_a_customer_has_a_few_streams_at_a_time(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LIFETIME_SECONDS", 0)
    monkeypatch.setitem(streams._open, ("panel", "customer-1"), streams.MOST)
    answer = api.get("/stream")
    assert answer.status_code == 429 and answer.headers["Retry-After"] == "60"
    stream(api, "/stream", None, customer="customer-2")
    assert streams._open["panel", "customer-2"] == 0, "a stream that has ended is not counted"


def test_the_document_is_complete(api: Api) -> None:
    document = api.get("/openapi.json").json()
    operations = [one for path in document["paths"].values() for one in path.values()]
    tags = {tag["name"] for tag in document["tags"]}
    for one in operations:
        assert one["description"] and one["tags"] and set(one["tags"]) <= tags
        problems = {code for code in one["responses"] if code >= "400"}
        assert all(list(one["responses"][code]["content"]) == ["application/problem+json"] for code in problems)
        if one["operationId"] != "health":
            assert {"401", "403", "422", "429", "503"} <= problems
    assert len({one["operationId"] for one in operations}) == len(operations)
    assert document["components"]["securitySchemes"]
