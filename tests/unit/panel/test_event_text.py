"""Every kind of event has a sentence for ops, and one for customers or none; code names kinds and spells none out."""

import ast
import re
import string
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include.panel import event_text
from include.registry import Event
from include.registry.kinds import EventKind
from include.registry.states import CAMPAIGN, CAMPAIGN_ACCOUNT, MIGRATION, MOVE, TEST, Machine

ROOT = Path(__file__).parents[3]
SPELLED = {"include/registry/kinds.py", "plugins/transhumance_airflow/api/models.py"}
"""Where a kind is written out: in its enum, and among the examples of the API's description."""


class Happened(Event):
    """An event of which only these are known."""

    def __init__(
        self, kind: str, account: str | None = None, server: str | None = None, detail: dict[str, Any] | None = None
    ) -> None:
        super().__init__(1, datetime.now(UTC), kind, None, account, server, None, None, detail or {}, None)


def test_every_kind_has_its_sentences():
    assert set(event_text.TEXTS) == set(EventKind)
    assert set(event_text.TOLD) == {kind for kind in EventKind if event_text.TEXTS[kind].customer}
    with pytest.raises(KeyError):
        event_text.for_customer(Happened(EventKind.SERVER_ENROLLED))


@pytest.mark.parametrize("kind", EventKind)
def test_a_sentence_can_be_said_of_an_event_without_detail(kind):
    said = [event_text.for_ops(Happened(kind, "blog", "vps-1")), event_text.for_ops(Happened(kind))]
    said += [event_text.for_customer(Happened(kind))] if kind in event_text.TOLD else []
    for sentence in said:
        assert sentence.endswith(".") and "{" not in sentence and "None" not in sentence


def test_a_customers_sentence_holds_what_a_customer_may_see():
    texts = [text.customer for text in event_text.TEXTS.values() if text.customer]
    used = {name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name}
    assert used == {"account", "server", "to", "reason", "why", "left", "free_days"}


@pytest.mark.parametrize(
    ("detail", "told"),
    [
        ({"free_days": 14}, "its 14 free days have started"),
        ({"free_days": 1}, "its free day has started"),
        ({"free_days": 0}, "it has no free days"),
        ({}, "its free days have started"),
    ],
)
def test_the_hand_over_tells_the_free_days_that_were_set(detail, told):
    handed_over = Happened(EventKind.MIGRATION_HANDED_OVER, None, "vps-1", detail)
    assert event_text.for_customer(handed_over) == f"The transit is yours to use: {told}."


def test_ops_are_told_figures():
    committed = Happened("move.committed", "blog", None, {"switch": {"held_ms": 1312, "left": ["A cron job stays."]}})
    assert event_text.for_ops(committed) == (
        "blog lives on its new server, held for 1,312 ms. Not carried: A cron job stays."
    )
    assert event_text.for_customer(committed) == "blog lives on its new server. Not carried: A cron job stays."
    reported = Happened("test.reported", "blog", None, {"blockers": 1, "warnings": 2})
    assert event_text.for_ops(reported) == "The report on the test of blog is written: 1 blocker and 2 warnings."
    asks = Happened("plan.approval", None, None, {"plan": "small", "asks": True})
    assert event_text.for_ops(asks) == "From now on a person agrees before a server of plan small is reinstalled."
    failed = Happened("run.failed", None, None, {"dag": "bill_leases", "task": "bill", "why": "No price: add one."})
    assert event_text.for_ops(failed) == "bill of bill_leases failed: No price: add one."


def test_an_event_of_an_earlier_version_says_what_it_has():
    assert event_text.for_ops(Happened("disk.swept_clean", None, "vps-1")) == "Disk swept clean: vps-1."


@pytest.mark.parametrize(
    ("prefix", "machine"),
    [
        ("migration", MIGRATION),
        ("move", MOVE),
        ("test", TEST),
        ("campaign", CAMPAIGN),
        ("campaign.account", CAMPAIGN_ACCOUNT),
    ],
)
def test_every_state_that_is_reached_is_an_event(prefix: str, machine: Machine):
    first = {state.name for state in machine.states if state.initial}
    reached = {transition.target for transition in machine.transitions} - (first if prefix != "campaign" else set())
    assert {EventKind(f"{prefix}.{state}") for state in reached} <= set(EventKind)


def test_no_kind_is_spelled_out():
    kinds = set(EventKind)
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value}"
        for folder in ("include", "plugins", "dags")
        for path in (ROOT / folder).rglob("*.py")
        if str(path.relative_to(ROOT)) not in SPELLED
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in kinds
    ]
    assert found == [], "write the kind's name, such as EventKind.MOVE_COMMITTED"


def test_sql_asks_for_kinds_that_there_are():
    texts = [
        path.read_text() for path in (ROOT / "include" / "registry").rglob("*.*") if path.suffix in (".py", ".sql")
    ]
    asked = {kind for text in texts for kind in re.findall(r"\bkind = '(\w+\.[\w.]+)'", text)}
    assert len(asked) >= 5
    assert asked <= set(EventKind)
