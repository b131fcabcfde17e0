"""What the pages say of the made-up host, that they say it quickly, and that no name in them is markup."""

from __future__ import annotations

import asyncio
import html
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from fastapi.testclient import TestClient

from include import registry
from include.billing import apply_settings
from include.moves.requirements import Judged
from include.registry.kinds import EventKind
from include.registry.queries import board, board_server
from include.settings import Settings
from tests.board import made_up
from tests.board.conftest import Counting
from tests.registry.host import KEY
from tests.support.postgres import url
from transhumance_airflow import connections
from transhumance_airflow.board import PREFIX, gather, live, runs, words
from transhumance_airflow.board.views import plots, server_page

REGISTRY_CONNECTION = connections.registry_connection
HOSTILE = "<img src=x onerror=alert(1)>\"'&"


@pytest.fixture
def olga(client: Callable[[str | None], TestClient]) -> TestClient:
    return client("olga")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow knows of two failed tasks and one question."""
    from tests.board.standing_alone import told

    troubles, approvals = told({})
    monkeypatch.setattr(runs, "troubles", lambda run_ids: [t for t in troubles if t.run in run_ids])
    monkeypatch.setattr(runs, "approvals", lambda run_ids: [a for a in approvals if a.run in run_ids])


def text(page: str) -> str:
    """What a reader sees, roughly."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def add_transit(conn: psycopg.Connection, n: int) -> None:
    """A further transit of the plan "small"."""
    at = (f"10.20.9.{n}", f"10.30.9.{n}", f"fd30::9:{n}")
    registry.add_server(conn, f"transit-{n}", "transit", "small", "2026", None, *at)


def section(page: str, id: str) -> str:
    """One section of a page."""
    (found,) = re.findall(rf'<section id="{id}".*?</section>', page, re.DOTALL)
    return found


def test_the_front_page_tells_who_waits_for_whom(olga: TestClient, conn: psycopg.Connection, told: None) -> None:
    page = olga.get(PREFIX + "/").text
    groups = text(section(page, "groups"))
    assert "Wait for the customer 4" in groups
    assert "vps-1 " in groups and "0 of 2 accounts performed; 2 days over" in groups
    assert "2 of 4 accounts performed; 5 days left" in groups
    assert "Wait for the pool 4" in groups and "place 1 of 3 for small" in groups
    assert "Wait for you 1" in groups and "The host works on 2" in groups
    assert "Reinstall vps-12 with infrastructure 2026?" in groups
    assert groups.index("vps-1 ") < groups.index("vps-2 ") < groups.index("vps-3 "), "the least time left comes first"


def test_what_is_stuck_says_what_to_press(olga: TestClient, conn: psycopg.Connection, told: None) -> None:
    stuck = section(olga.get(PREFIX + "/").text, "stuck")
    assert "install_transit failed in migrate_server." in stuck
    assert "/dags/migrate_server/runs/ready-vps-6/tasks/install_transit" in stuck
    assert stuck.count("data-again") == 1, "a switch that failed is looked at before it is run again"
    assert "/dags/move_account/runs/perform-blog2-transit-3/tasks/switch" in stuck
    assert "blog2" in text(stuck) and "a disk is being replaced" in stuck
    (again,) = re.findall(r'data-again="([^"]+)"', stuck)
    assert json.loads(again.replace("&#34;", '"')) == {
        "dag_id": "migrate_server",
        "dag_run_id": "ready-vps-6",
        "task_ids": ["install_transit"],
    }


def test_what_moves_and_when_it_ends(olga: TestClient, conn: psycopg.Connection) -> None:
    moves = section(olga.get(PREFIX + "/").text, "moves")
    assert "mail3" in moves and "copying" in moves and re.search(r'<progress[^>]* value="\d+"', moves)
    assert "in about" in moves or "any moment" in moves
    assert "blog2" not in moves, "a move that returned does not move"


def test_the_pool_is_a_picture(olga: TestClient, conn: psycopg.Connection) -> None:
    pool = section(olga.get(PREFIX + "/").text, "pool")
    assert pool.count("<svg") == 8 + 4, "a tile a transit, and one a request that waits"
    assert re.search(r'tile over">\s*<svg[^>]*aria-label="transit-2: 2 days over"', pool)
    assert re.search(r'class="tile paused"', pool)
    assert "expected" in text(pool)


def test_the_picture_has_the_free_days_that_are_set(olga: TestClient, conn: psycopg.Connection) -> None:
    apply_settings(conn, Settings("Europe/Paris", free_days=14))
    first = next(queued for queued in registry.queue.places(conn) if queued.plan == "small")
    add_transit(conn, 9)
    assert registry.assign_transit(conn, first.migration) == "transit-9"
    registry.may_install_transit(conn, first.migration)
    registry.enrol_server(conn, "transit-9", "2026", KEY + "new", {"debian": "13"})
    registry.hand_over(conn, first.migration, made_up.ago(days=3.5))
    add_transit(conn, 10)
    pool = section(olga.get(PREFIX + "/").text, "pool")
    tiles = {name: tile for tile in pool.split("<svg") for name in re.findall(r'aria-label="([^:]+):', tile)}
    days = {name: (tile.count("<rect"), tile.count('class="used"')) for name, tile in tiles.items()}
    assert (days["transit-9"], days["transit-10"]) == ((14, 3), (14, 0))
    assert days["transit-2"] == (7, 7), "a lease keeps the days that it was handed over with"


def test_a_campaign_and_its_pause(olga: TestClient, conn: psycopg.Connection) -> None:
    page = section(olga.get(PREFIX + "/").text, "campaigns")
    assert "Debian 13" in page and "running, wave 2 of" in text(page)
    assert all(f"{count} {word}" in text(page) for count, word in ((3, "done"), (1, "failed"), (1, "testing")))
    (one,) = registry.list_campaigns(conn)
    assert text(page).count("its test found a blocker") == 2 and "Not moved, and why" in page
    reason = "It cannot be moved. <script>alert(1)</script>"
    conn.execute("UPDATE campaign_accounts SET reason = %s WHERE campaign = %s AND state = 'left'", [reason, one.id])
    assert "&lt;script&gt;alert(1)" in section(olga.get(PREFIX + "/").text, "campaigns")
    got = olga.post(PREFIX + "/actions/pause_campaign", data={"campaign": one.id, "reason": ""})
    assert "for a reason" in got.text and registry.campaign(conn, one.id).state == "running"
    olga.post(PREFIX + "/actions/pause_campaign", data={"campaign": one.id, "reason": "a disk is full"})
    assert registry.campaign(conn, one.id).why == "a disk is full"
    assert "paused, wave 2 of" in text(section(olga.get(PREFIX + "/").text, "campaigns"))
    olga.post(PREFIX + "/actions/resume_campaign", data={"campaign": one.id})
    assert registry.campaign(conn, one.id).state == "running"


def test_todays_charges(olga: TestClient, conn: psycopg.Connection) -> None:
    numbers = text(section(olga.get(PREFIX + "/").text, "numbers"))
    (due,) = board.charges_today(conn)
    assert due.leases == 1 and not due.billed
    assert f"{due.amount} EUR today, 1 lease" in numbers


def test_a_servers_path_accounts_and_figures(olga: TestClient, conn: psycopg.Connection) -> None:
    page = olga.get(PREFIX + "/servers/vps-4").text
    steps = re.findall(r'<li class="(done|now|ahead|lifted)"[^>]*><strong>([^<]+)', section(page, "path"))
    assert [word for _, word in steps] == [word for word, _ in words.STEPS]
    assert [stands for stands, _ in steps] == ["lifted"] + ["done"] * 6 + ["now"]
    assert "Ops lifted the gate: made up without tests" in text(section(page, "path"))
    migration = registry.certain(board_server.newest_migration(conn, "vps-4"))
    tested = server_page.steps("vps", replace(migration, lift_gate_because=None))
    assert [step.stands for step in tested] == ["done"] * 7 + ["now"]
    assert page.count('aria-current="step"') == 1
    accounts = text(section(page, "accounts"))
    assert re.search(
        r"asked .* copied 2,822 files, 180 MB in 7 s .* followed .* held for 312 ms, 280 ms expected", accounts
    )
    assert re.search(
        r"verified 2,822 files, 14 tables, 4,641 rows, 436 messages committed lives on transit-1", accounts
    )
    plots = [json.loads(data) for data in re.findall(r'<script type="application/json">(.*?)</script>', page)]
    waits, gaps = plots
    assert waits["labels"] == ["blog4 out"] and dict(waits["series"])["held"] == [312.3]
    assert max(dict(gaps["series"])["longest gap"]) == 28.3 and len(gaps["labels"]) == 6


def test_what_a_server_has_and_lacks_for_a_move(olga: TestClient, conn: psycopg.Connection) -> None:
    assert "The doctor has not seen it yet." in text(section(olga.get(PREFIX + "/servers/vps-4").text, "doctor"))
    lacks = Judged("rsync", False, "vps-4 has rsync 3.2.7: install 3.5.0 or later.")
    registry.record_judged(conn, "vps-4", [Judged("reached", True, "It answers."), lacks])
    shown = text(section(olga.get(PREFIX + "/servers/vps-4").text, "doctor"))
    assert re.search(r"As the doctor saw it .* Met: reached\. rsync vps-4 has rsync 3\.2\.7: install", shown)
    registry.record_judged(conn, "vps-4", [Judged("rsync", False, HOSTILE)])
    shown = section(olga.get(PREFIX + "/servers/vps-4").text, "doctor")
    assert "Met: nothing." in text(shown) and HOSTILE not in shown and "<img" not in shown


def test_what_is_shown_of_other_servers(olga: TestClient, conn: psycopg.Connection) -> None:
    for name, says in (
        ("vps-11", "It is not being migrated. 3 of 4 accounts tested without a blocker."),
        ("web-35", "It is not being migrated. 0 of 4 accounts tested without a blocker."),
        ("transit-4", "The transit is the customer's to use"),
        ("test-1", "Empty."),
    ):
        page = olga.get(f"{PREFIX}/servers/{name}").text
        assert says in html.unescape(page)
        assert ('class="steps"' in page) == (name in ("vps-11", "transit-4"))
    accounts = section(olga.get(PREFIX + "/servers/vps-11").text, "accounts")
    assert "1 blocker" in accounts and "2 warnings" in accounts and "nothing in the way" in accounts
    assert 'href="http://blog11.test.example/"' in accounts, "the copy that is there"


def test_an_account_that_went_over_for_good(olga: TestClient, conn: psycopg.Connection) -> None:
    with made_up.behind_its_back(conn):
        conn.execute(
            """
            INSERT INTO moves (account, entry, original, from_server, to_server, direction, epoch, run_id, requested_by,
                state, committed_at, ended_at, figures)
            VALUES ('blog35', 'infrastructure-2026', 'web-35', 'web-35', 'web-36', 'over', 1, 'over-1', 'the panel',
                'done', now(), now(), '{"switch": {"held_ms": 99.5}}')
            """
        )
    page = olga.get(PREFIX + "/servers/web-35").text
    assert "for 100 ms" in page and "/dags/migrate_account/runs/over-1" in page


def test_a_server_that_nobody_knows(olga: TestClient, conn: psycopg.Connection) -> None:
    got = olga.get(PREFIX + "/servers/nobody-1")
    assert got.status_code == 404 and "There is no server nobody-1" in got.text


def test_what_is_no_text_for_a_database_is_refused(olga: TestClient, conn: psycopg.Connection) -> None:
    for path in (
        "/?q=%00",
        "/?state=%00",
        "/?page=0",
        "/?page=x",
        "/servers/%00",
        "/servers/..%2f..",
        "/tests/0/report",
    ):
        assert olga.get(PREFIX + path).status_code in (404, 422), path
    got = olga.post(PREFIX + "/actions/pause_transit", data={"transit": "transit-7", "reason": "\0"})
    assert got.status_code == 422
    assert olga.get(PREFIX + "/?q=%ff%fe").status_code == 200
    assert olga.get(PREFIX + "/servers/nobody-1/stream").text == ""


def test_each_state_has_its_step_and_its_word() -> None:
    from include.registry import states

    for state in states.MIGRATION.states:
        assert state.name in words.STATES
        assert state.name in words.STEP_OF or state.name in states.GIVEN_UP
    order = [words.STEP_OF[state] for state in states.MIGRATION.path]
    assert order == sorted(order)


def test_the_report_is_there_to_download(olga: TestClient, conn: psycopg.Connection, tmp_path: Path) -> None:
    id = registry.certain(registry.migration_of(conn, "vps-4")).id
    registry.event(conn, EventKind.REPORT_WRITTEN, migration=id)
    assert f'href="{PREFIX}/servers/vps-4/report" download' in olga.get(PREFIX + "/servers/vps-4").text
    (tmp_path / f"migration-{id}.json").write_text('{"accounts": []}')
    got = olga.get(PREFIX + "/servers/vps-4/report")
    assert got.json() == {"accounts": []} and "attachment" in got.headers["content-disposition"]


def test_a_tests_report_runs_no_script(olga: TestClient, conn: psycopg.Connection, tmp_path: Path) -> None:
    (tmp_path / "test-3.html").write_text("<script>alert(1)</script>")
    got = olga.get(PREFIX + "/tests/3/report")
    assert got.status_code == 200 and "sandbox" in got.headers["content-security-policy"]
    assert "'unsafe-inline'" not in got.headers["content-security-policy"].replace("style-src 'unsafe-inline'", "")


def test_what_people_write_is_text(
    olga: TestClient, conn: psycopg.Connection, told: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with made_up.behind_its_back(conn):
        conn.execute("UPDATE servers SET customer = %s WHERE customer IS NOT NULL", (HOSTILE,))
        conn.execute(
            "UPDATE servers SET paused_because = %s, reserved_for = %s WHERE name = 'transit-7'", [HOSTILE] * 2
        )
        conn.execute("UPDATE migrations SET requested_by = %s", (HOSTILE,))
        conn.execute(
            "UPDATE moves SET requested_by = %s, figures = jsonb_set(figures, '{switch,ways}', %s)",
            (HOSTILE, json.dumps([{"store": HOSTILE, "database": HOSTILE, "way": HOSTILE, "why": HOSTILE}])),
        )
        conn.execute("UPDATE accounts SET domains = '{}'")
    registry.event(conn, EventKind.SERVER_PAUSED, server="transit-7", by=HOSTILE, detail={"paused_because": HOSTILE})
    id = registry.certain(registry.migration_of(conn, "vps-4")).id
    registry.event(
        conn,
        EventKind.PROBE_GAP,
        migration=id,
        detail={"ip": "</script>" + HOSTILE, "step": HOSTILE, "longest_gap_ms": 1},
    )
    for path in ("/", "/servers/vps-4", "/servers/vps-1", f"/?q={HOSTILE}&state={HOSTILE}"):
        page = olga.get(PREFIX + path).text
        assert HOSTILE not in page and "<img" not in page and "onerror=alert" in page, path
        assert page.count("</script>") == page.count("<script"), path


def test_the_list_is_found_by_state_and_by_name(olga: TestClient, conn: psycopg.Connection) -> None:
    def found(query: str) -> list[str]:
        return re.findall(
            r'<th scope="row"><a href="[^"]+">([^<]+)', section(olga.get(f"{PREFIX}/?{query}").text, "servers")
        )

    assert found("state=handed_over") == ["ded-10", "vps-1", "vps-2", "vps-3"]
    assert found("q=shop3") == ["ded-30", "vps-3", "vps-31", "vps-33", "vps-34", "web-35", "web-37", "web-38", "web-39"]
    assert found("q=alpine") and all(
        "Alpine" in (registry.server(conn, name).customer or "") for name in found("q=alpine")
    )
    assert found("q=%25") == [] == found("q=_")
    assert len(found("")) == 25 and len(found("page=2")) == 16


def test_a_button_does_it_at_once_and_says_so(olga: TestClient, conn: psycopg.Connection) -> None:
    got = olga.post(PREFIX + "/actions/resume_transit", data={"transit": "transit-7"})
    assert got.status_code == 200 and "Done: resume transit." in got.text
    assert registry.server(conn, "transit-7").paused_because is None
    assert registry.list_events(conn, server="transit-7")[-1].by == "olga"
    last = registry.places(conn)[2]
    got = olga.post(PREFIX + "/actions/move_up", data={"migration": last.migration, "reason": "they called"})
    assert got.status_code == 200 and registry.places(conn)[0].migration == last.migration


def test_what_is_no_accounts_is_listed_and_signed_for(
    olga: TestClient, client: Callable[[str | None], TestClient], conn: psycopg.Connection
) -> None:
    registry.record_unclaimed(conn, "vps-1", [("files", HOSTILE, "3 files."), ("mount", "/data", HOSTILE)])
    page = olga.get(PREFIX + "/servers/vps-1").text
    shown = section(page, "unclaimed")
    assert HOSTILE not in page and shown.count("It may be lost") == 2
    got = olga.post(
        PREFIX + "/actions/sign", data={"server": "vps-1", "kind": "files", "name": HOSTILE, "reason": "they know"}
    )
    assert got.status_code == 200 and "Done: sign." in got.text
    (open_, signed) = registry.unclaimed_of(conn, "vps-1")
    assert (open_.name, signed.name, signed.signed_by, signed.reason) == ("/data", HOSTILE, "olga", "they know")
    shown = section(olga.get(PREFIX + "/servers/vps-1").text, "unclaimed")
    assert shown.count("It may be lost") == 1 and "Signed by olga" in text(shown) and "they know" in shown
    assert "/data" in section(client("vera").get(PREFIX + "/servers/vps-1").text, "unclaimed")
    got = olga.post(PREFIX + "/actions/sign", data={"server": "vps-1", "kind": "files", "name": "/", "reason": "x"})
    assert got.status_code == 200 and "was seen on vps-1" in got.text


def test_a_button_that_is_refused_says_why(olga: TestClient, conn: psycopg.Connection) -> None:
    got = olga.post(PREFIX + "/actions/pause_transit", data={"transit": "vps-1", "reason": "x"})
    assert got.status_code == 200 and "customer" in got.text and 'class="late"' in got.text
    for bad in ("cancel_migration", "add_transit", "show_queue"):
        assert olga.post(f"{PREFIX}/actions/{bad}", data={}).status_code == 422


@pytest.fixture
def thousand(conn: psycopg.Connection) -> None:
    made_up.many(conn)


def test_a_thousand_servers_are_as_many_questions_as_forty(olga: TestClient, conn: psycopg.Connection) -> None:
    def questions(path: str) -> int:
        before = Counting.asked
        assert olga.get(PREFIX + path).status_code == 200
        return Counting.asked - before

    few = [questions(path) for path in ("/", "/servers/vps-4")]
    made_up.many(conn)
    assert [questions(path) for path in ("/", "/servers/vps-4")] == few
    assert max(few) <= 25


def test_a_thousand_servers_in_a_third_of_a_second(olga: TestClient, thousand: None) -> None:
    def seconds(path: str) -> float:
        began = time.perf_counter()
        assert olga.get(PREFIX + path).status_code == 200
        return time.perf_counter() - began

    paths = ("/", "/?page=7", "/?state=waiting_for_transit", "/?q=big-77", "/servers/big-1")
    # Whatever else the machine does only adds to what a page takes.
    took = {path: min(seconds(path) for _ in range(4)) for path in paths}
    assert max(took.values()) < 0.3, took
    page = olga.get(PREFIX + "/?page=7").text
    assert "1,041 servers, page 7 of 42" in text(page)
    assert "483 more wait for plan small" in text(page) and page.count('class="tile waits"') == 21


def test_the_stream_sends_what_changed_and_nothing_else(
    conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(runs, "troubles", lambda run_ids: [])
    monkeypatch.setattr(runs, "approvals", lambda run_ids: [])
    from transhumance_airflow.board import app

    at = {"root": PREFIX, "airflow": "", "may_act": True}

    async def follow() -> tuple[set[str | None], dict[str | None, str | None]]:
        changes = live.changes(lambda: app.front(app.Wanted(), **at))
        first = {(await anext(changes)).event for _ in app.SECTIONS}
        await asyncio.to_thread(registry.resume_server, conn, "transit-7", "olga")
        then: dict[str | None, str | None] = {}
        while "said" not in then:
            change = await asyncio.wait_for(anext(changes), 5)
            then[change.event] = change.raw_data
        return first, then

    first, then = asyncio.run(follow())
    assert first == set(app.SECTIONS)
    assert {"pool", "events", "said"} <= set(then) and "servers" not in then
    assert "transit-7 is offered again." in (then["said"] or "")


def test_the_registry_is_found_by_airflows_connection(
    client: Callable[[str | None], TestClient], dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "registry_connection", REGISTRY_CONNECTION)
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", url(dsn))
    assert "vps-3" in client("vera").get(PREFIX + "/").text


def test_words() -> None:
    now = made_up.NOW
    assert words.left(made_up.ago(days=-4.5), now) == "4 days left"
    assert words.left(made_up.ago(days=2.2), now) == "2 days over"
    assert words.ago(made_up.ago(seconds=5), now) == "just now"
    assert words.ago(made_up.ago(minutes=5), now) == "5 min ago"
    assert words.size(180_000_000) == "180 MB" and words.size(12) == "12 B" and words.size(2.5e9) == "2.5 GB"
    assert plots.as_json("</script>&") == '"\\u003c/script\\u003e\\u0026"'
    assert gather.PAGE == 25


def test_events_of_single_names_leave_room_for_the_others(conn: psycopg.Connection) -> None:
    before = board.latest_events(conn)
    registry.add_name(conn, "many.example", "AAAA", "blog2", "2001:db8::2")
    assert registry.list_events(conn, account="blog2")[-1].kind == "name.added"
    assert board.latest_events(conn) == before
