"""The board in a browser, within Airflow's own page: it stays true by itself, and everything can be pressed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from include import registry
from include.inventory import text
from include.inventory.document import Customer
from include.inventory.stored import stored
from tests.board import look
from tests.support.chromium import CHROMIUM, browser
from transhumance_airflow.board import PREFIX, live, runs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Frame, Page

P = TypeVar("P", "Page", "Frame")

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's chromium is not installed")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as one:
        yield one


@pytest.fixture
def address(
    airflow: FastAPI, client: Callable[[str | None], TestClient], monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Airflow's API server, listening; its registry is the test's."""
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.1)
    with look.served(airflow) as address:
        yield address


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow knows of a task that failed."""
    failed = [runs.Trouble("migrate_server", "ready-vps-6", "install_transit", None)]
    monkeypatch.setattr(runs, "troubles", lambda run_ids: failed)


@pytest.fixture
def opened(
    chromium: Browser, address: str, client: Callable[[str | None], TestClient]
) -> Iterator[Callable[..., Page]]:
    """Opens an address as olga of ops, with a browser's session; what the console complains of fails the test."""
    token = client("olga").cookies["_token"]
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_(path: str, width: int = 1280, **options: Any) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": 844}, **options)
        contexts.append(context)
        context.add_cookies([{"name": "_token", "value": token, "url": address, "httpOnly": True}])
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None)
        page.goto(address + path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def ready(page: P) -> P:
    """The page (or frame), once its stream is open."""
    page.wait_for_selector('#live[data-state="live"]')
    return page


def test_the_page_changes_without_a_reload(opened: Callable[..., Page], conn: psycopg.Connection) -> None:
    page = ready(opened(PREFIX + "/"))
    page.evaluate("window.before = true")
    tile = page.locator(".tile", has_text="transit-7")
    assert "paused" in tile.inner_text()
    registry.resume_server(conn, "transit-7", "somebody else")
    page.wait_for_function("() => !document.querySelector('#pool').innerText.includes('paused')", timeout=8000)
    assert "transit-7 is offered again." in (page.locator("#said").text_content() or "")
    assert "transit-7 is offered again." in page.locator("#events").inner_text()
    assert page.evaluate("window.before"), "it was the same page all the time"


def test_a_servers_page_follows_a_move(opened: Callable[..., Page], conn: psycopg.Connection) -> None:
    page = ready(opened(PREFIX + "/servers/vps-3"))
    mail3 = page.locator("article", has=page.locator("#a-mail3"))
    assert "copying" in mail3.inner_text()
    move = registry.certain(registry.live_move_of(conn, "mail3"))
    registry.advance_move(conn, move.id, "switching")
    registry.advance_move(
        conn,
        move.id,
        "committed",
        registry.read_figures({"switch": {"held_ms": 312.0, "verified": {"files": 3, "equal": True}}}),
    )
    mail3.get_by_text("for 312 ms").wait_for(timeout=8000)
    assert "lives on transit-4" in mail3.inner_text()
    assert page.locator(".plot canvas").count() == 1, "the plot is drawn, once"


def test_a_stream_that_was_cut_is_opened_again(
    opened: Callable[..., Page], conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "STREAM_SECONDS", 0.5)
    page = ready(opened(PREFIX + "/"))
    page.wait_for_timeout(1500)
    registry.resume_server(conn, "transit-7", "somebody else")
    page.wait_for_function("() => !document.querySelector('#pool').innerText.includes('paused')", timeout=15000)


def test_in_airflows_navigation_theme_and_frame(opened: Callable[..., Page], address: str) -> None:
    page = opened("/")
    page.get_by_role("link", name="Board").or_(page.get_by_text("Board", exact=True)).first.click()
    # Before the page is there the frame has an empty one, whose elements belong to nothing later.
    page.frame_locator("iframe").locator('#live[data-state="live"]').wait_for()
    frame = page.locator("iframe").element_handle().content_frame()
    assert frame and PREFIX in frame.url
    for theme in ("dark", "light"):
        page.evaluate(f"document.documentElement.className = '{theme}'")
        frame.wait_for_selector(f'html[data-theme="{theme}"]', state="attached")
    frame.get_by_role("link", name="vps-3").first.click()
    frame.wait_for_selector("#path")
    frame.get_by_role("link", name="The run in Airflow").click()
    page.wait_for_url(f"{address}/dags/migrate_server/runs/ready-vps-3*")


def test_try_again_asks_airflow_to_clear_the_task(opened: Callable[..., Page], told: None) -> None:
    from airflow.api_fastapi.core_api.datamodels.task_instances import ClearTaskInstancesBody

    page = ready(opened(PREFIX + "/"))
    asked = []

    def answer(route: Any) -> None:
        asked.append(route.request)
        route.fulfill(json={"task_instances": []})

    page.route("**/clearTaskInstances", answer)
    page.get_by_role("button", name=re.compile("Try again")).click()
    page.get_by_text("It is tried again.").wait_for()
    (request,) = asked
    assert request.url.endswith("/api/v2/dags/migrate_server/clearTaskInstances")
    ClearTaskInstancesBody.model_validate(request.post_data_json)  # it takes nothing that it does not know
    assert request.post_data_json == {
        "dry_run": False,
        "include_downstream": True,
        "only_failed": False,
        "reset_dag_runs": True,
        "dag_run_id": "ready-vps-6",
        "task_ids": ["install_transit"],
    }


def test_by_keyboard_alone(opened: Callable[..., Page], conn: psycopg.Connection) -> None:
    page = ready(opened(PREFIX + "/"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    last = registry.places(conn)[2]
    up = page.locator(f"#up-{last.migration}")
    up.locator("summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("they have called")
    registry.resume_server(conn, "transit-7", "somebody else")
    page.wait_for_function("() => !document.querySelector('#pool').innerText.includes('paused')", timeout=8000)
    assert up.locator("input[name=reason]").input_value() == "they have called", "an update takes nobody's words away"
    up.locator("input[name=reason]").focus()
    page.keyboard.press("Enter")
    page.locator("#answer").get_by_text("Done: move up.").wait_for()
    assert registry.places(conn)[0].migration == last.migration


def test_the_keyboard_stays_where_it_was_when_a_section_changes(
    opened: Callable[..., Page], conn: psycopg.Connection
) -> None:
    page = ready(opened(PREFIX + "/"))
    page.locator("#groups").get_by_role("link", name="vps-2", exact=True).focus()
    waiting = page.locator("#g-pool")
    before = waiting.inner_text()
    registry.resume_server(conn, "transit-7", "somebody else")
    registry.assign_transit(conn, registry.certain(registry.migration_of(conn, "ded-15")).id)
    page.wait_for_function("before => document.querySelector('#g-pool').innerText !== before", arg=before, timeout=8000)
    assert page.evaluate("document.activeElement.textContent") == "vps-2"


def test_everything_has_a_name_and_headings_are_in_order(opened: Callable[..., Page], told: None) -> None:
    for path in ("/", "/servers/vps-4"):
        page = ready(opened(PREFIX + path))
        levels = page.locator("h1, h2, h3").evaluate_all("all => all.map(each => Number(each.tagName[1]))")
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False)), levels
        nameless = (
            "all => all.filter(e => !(e.textContent.trim() || e.ariaLabel || e.labels?.length)).map(e => e.outerHTML)"
        )
        assert page.locator("a, button, summary, input:not([type=hidden])").evaluate_all(nameless) == []
        ids = page.locator("[id]").evaluate_all("all => all.map(each => each.id)")
        assert [id for id in set(ids) if ids.count(id) > 1] == []


@pytest.mark.parametrize("path", ["/", "/servers/vps-4", "/servers/vps-3"])
def test_on_a_phone_nothing_is_wider_than_the_screen(opened: Callable[..., Page], told: None, path: str) -> None:
    page = ready(opened(PREFIX + path, width=390))
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_light_and_dark_as_the_system_says(opened: Callable[..., Page]) -> None:
    for scheme in ("light", "dark"):
        page = ready(opened(PREFIX + "/", color_scheme=scheme))
        assert page.evaluate("document.documentElement.dataset.theme") == scheme


def test_the_inventory_is_changed_in_the_page(opened: Callable[..., Page], conn: psycopg.Connection) -> None:
    page = opened(PREFIX + "/")
    page.get_by_role("link", name="Change the inventory").click()
    known = text.read(page.locator("#document").input_value())
    assert known == stored(conn)
    wanted = known.model_copy(update={"customers": (*known.customers, Customer(name="Baker & Sons"))})
    page.locator("#document").fill(text.write(wanted))
    page.get_by_role("button", name="Show what would change").click()
    page.wait_for_selector("#answer li")
    assert page.locator("#answer").inner_text().split("\n")[0] == "1 to add."
    assert "add customer Baker & Sons" in page.locator("#answer").inner_text() and stored(conn) == known
    page.get_by_role("button", name="Apply").click()
    page.wait_for_selector("#answer p.done")
    assert stored(conn) == wanted.ordered()
