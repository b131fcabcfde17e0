"""What ops press before a server is reinstalled, in a browser on the running lab: what is stuck is tried again, the
proof is read, and somebody agrees."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from lab import airflow
from tests.lab.airflow_lab import ORIGINAL, TRANSIT, Farm
from tests.lab.browser import Person, at_airflow
from tests.lab.waiting import wait_for


@pytest.fixture(scope="module")
def everybody_out(farm: Farm) -> None:
    """Every account has left the original, and something of nobody is still there."""
    if farm.handed_over().state == "handed_over":
        farm.leave_behind()
        farm.everybody_performed()


@pytest.fixture(scope="module")
def ops(farm: Farm, everybody_out: None) -> Iterator[Person]:
    with at_airflow(farm.lab) as person:
        yield person


def boot_of(farm: Farm) -> str:
    return farm.lab.root(ORIGINAL, ["cat", "/etc/machine-id", "/etc/debian_version"])


def test_an_original_with_a_database_of_nobody_is_not_reinstalled(farm: Farm, ops: Person) -> None:
    """The registry says that it is empty, the server says that it is not: the board says what to do, and has the button
    for it."""
    before = boot_of(farm)
    frame = ops.board()
    stuck = frame.locator("#stuck li", has_text=ORIGINAL)
    expect(stuck).to_contain_text("look_at_original failed")
    ops.picture("board-stuck")
    said = farm.log("look_at_original", "Refused: ")
    said = next(line for line in said.splitlines() if "Refused: " in line)
    print(said)
    assert ORIGINAL in said and "'forgotten' belongs to no account" in said and "sign for it" in said
    stuck.get_by_role("link", name="Open the task's log").click()
    expect(ops.page.get_by_text("forgotten").first).to_be_visible()
    ops.picture("log")
    assert boot_of(farm) == before
    assert farm.migration().state == "handed_over", "nothing of it leads elsewhere yet"
    farm.lab.root(ORIGINAL, ["mariadb", "-e", "DROP DATABASE forgotten"])
    frame = ops.board()
    frame.locator("#stuck li", has_text=ORIGINAL).get_by_role("button", name="Try again").click()
    expect(frame.locator("#answer")).to_contain_text("It is tried again.")
    expect(frame.locator("#stuck")).not_to_contain_text(ORIGINAL)


def test_a_person_reads_the_proof_and_agrees_and_the_reinstall_goes_on(farm: Farm, ops: Person) -> None:
    frame = ops.board()
    yours = frame.locator("article", has=frame.locator("#g-ops"))
    expect(yours).to_contain_text(f"Reinstall {ORIGINAL} with infrastructure 2026?")
    ops.picture("board-approval")
    before = boot_of(farm)
    assert farm.migration().state == "original_empty"
    yours.get_by_role("link", name="Look at the proof and decide").click()
    page = ops.page
    expect(page.get_by_text(f"{ORIGINAL} itself says: it is empty.")).to_be_visible()
    ops.picture("approval")
    assert boot_of(farm) == before, "nothing is reinstalled before somebody agrees"
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("Response received")).to_be_visible()
    wait_for(lambda: farm.migration().state not in ("original_empty", "rerouted"), 120, "the reinstall goes on")
    frame = ops.server(ops.board(), ORIGINAL)
    expect(frame.locator('[aria-current="step"]')).to_contain_text(re.compile("Reinstalled|Home"))
    ops.picture("server-reinstalling")
    tasks = {task["task_id"]: task["state"] for task in airflow.tasks("migrate_server", farm.run_id)}
    assert tasks["approve_reinstall"] == "success"


def test_the_board_follows_the_accounts_home(farm: Farm, ops: Person) -> None:
    frame = ops.board()
    expect(frame.locator("#moves")).to_contain_text(f"{TRANSIT} → {ORIGINAL}")
    ops.picture("board-home")
