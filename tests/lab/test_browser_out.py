"""What people press on the way out, in a browser on the running lab: the customer in their panel, ops at the board."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from include import registry
from lab.demo import stage
from lab.panel import CallFailed
from tests.lab.airflow_lab import ORIGINAL, TRANSIT, Farm
from tests.lab.browser import Person, at_airflow
from tests.lab.waiting import wait_for

RECORD = """() => {
    window.told = [];
    const moves = document.querySelector("#moves");
    new MutationObserver(() => window.told.push(moves.innerText)).observe(moves, {childList: true, subtree: true});
}"""
"""Keeps everything that *Moving now* says from now on."""


@pytest.fixture(scope="module")
def ops(farm: Farm) -> Iterator[Person]:
    with at_airflow(farm.lab) as person:
        yield person


def test_an_account_is_tested_and_ops_read_its_report(farm: Farm, ops: Person) -> None:
    frame = ops.server(ops.board(), ORIGINAL)
    orchard = frame.locator("article", has=frame.locator("#a-orchard"))
    expect(orchard).to_contain_text("Not tested")
    asked = farm.panel.test("orchard", stage.ENTRY)
    expect(orchard.get_by_role("link", name="report")).to_be_visible()
    assert frame.evaluate("window.watched"), "it was the same page all the time"
    farm.panel.wait(asked)
    (test,) = farm.panel.tests("orchard")
    assert test["blockers"] == 0, test["sentence"]
    for name in test["names"].values():
        expect(orchard).to_contain_text(name)
    ops.picture("server-tested")
    with ops.page.context.expect_page() as opened:
        orchard.get_by_role("link", name="report").click()
    report = opened.value
    expect(report.locator("h1")).to_contain_text("orchard")
    expect(report.locator("body")).to_contain_text(test["sentence"])
    ops.picture("report", report)
    report.close()


def test_the_board_follows_a_server_from_the_question_to_the_transit(farm: Farm, ops: Person) -> None:
    frame = ops.board()
    with pytest.raises(CallFailed, match="meadow"):  # which was not tested
        farm.panel.ask_for_transit(ORIGINAL, stage.ENTRY)
    customers = frame.locator("article", has=frame.locator("#g-customer"))
    expect(customers).not_to_contain_text(ORIGINAL)
    tile = frame.locator(".tile", has_text=TRANSIT)
    expect(tile).to_contain_text("free")
    farm.begin()
    early = performed_too_early(farm, "orchard")
    expect(customers).to_contain_text(ORIGINAL)
    expect(customers).to_contain_text("0 of 3 accounts performed")
    expect(tile).to_contain_text("days left")
    assert frame.evaluate("window.watched")
    ops.picture("board-handed-over")
    assert "handed over" in farm.refusal("move_account", early)
    assert farm.state(ORIGINAL, "orchard")["state"] == "serving"
    with stage.registry_connection() as conn:
        assert registry.live_move_of(conn, "orchard") is None


def performed_too_early(farm: Farm, account: str) -> str:
    """Performs an account before the transit is handed over; the panel refuses it at once, and so will the run whose id
    this is."""
    wait_for(farm.begun_migration, 60, "the migration has begun", pause=0.1)
    with pytest.raises(CallFailed, match="handed over"):
        farm.perform(account)
    return farm.perform_past_the_panel(account, name="early")


def test_the_board_follows_an_account_that_its_customer_performs(farm: Farm, ops: Person) -> None:
    farm.handed_over()
    frame = ops.board()
    frame.evaluate(RECORD)
    run_id = farm.perform("copse")
    moving = frame.locator("#moves tr", has_text="copse")
    expect(moving).to_be_visible()
    ops.picture("board-moving")
    customers = frame.locator("article", has=frame.locator("#g-customer"))
    expect(customers).to_contain_text("1 of 3 accounts performed")
    expect(moving).to_have_count(0)
    shown = "\n".join(frame.evaluate("window.told"))
    assert re.search(r"copse\s.*(opening the path|copying|switching)", shown, re.DOTALL), shown
    assert frame.evaluate("window.watched")
    farm.finish(run_id)
    frame = ops.server(frame, ORIGINAL)
    copse = frame.locator("article", has=frame.locator("#a-copse"))
    expect(copse).to_contain_text(f"lives on {TRANSIT}")
    expect(copse.locator(".timeline")).to_contain_text(re.compile(r"held for [\d,]+ ms"))
    expect(frame.locator('[aria-current="step"]')).to_contain_text("Performed")
    ops.picture("server-performing")
