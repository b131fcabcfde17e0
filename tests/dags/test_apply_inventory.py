"""The inventory through its form: compared, or applied as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include import registry
from include.inventory import text
from include.inventory.document import Site
from include.inventory.stored import stored
from tests.dags.hosting import Hosting


@pytest.fixture
def compare(dags: dict[str, Any]) -> Any:
    return dags["apply_inventory"].task_dict["compare"].python_callable


def form(document: str, apply: bool) -> dict[str, Any]:
    return {"document": document, "apply": apply, "requested_by": "ops"}


def with_a_site(hosting: Hosting) -> str:
    known = stored(hosting.conn)
    servers = tuple(server.model_copy(update={"site": "Zurich"}) for server in known.servers)
    return text.write(known.model_copy(update={"sites": (Site(name="Zurich"),), "servers": servers}))


def test_the_form_shows_what_would_be_done_and_does_it(compare: Callable[..., Any], hosting: Hosting) -> None:
    document = with_a_site(hosting)
    shown = compare(params=form(document, apply=False))
    assert shown[0] == "add site Zurich" and shown[-1].startswith("1 to add; ")
    assert registry.list_sites(hosting.conn) == []
    assert compare(params=form(document, apply=True)) == shown
    assert registry.server(hosting.conn, "vps-1").site == "Zurich"
    assert compare(params=form(document, apply=True)) == ["There is nothing to do."], "and once"
    assert registry.list_events(hosting.conn, server="vps-1")[-1].by == "ops"


def test_what_is_refused_ends_the_run_and_nothing_is_done(compare: Callable[..., Any], hosting: Hosting) -> None:
    shown = compare(params=form("sites: [{name: Zurich}]", apply=False))
    assert any(line.startswith("refuse to remove server vps-1") for line in shown)
    with pytest.raises(AirflowFailException, match="Nothing was applied. server vps-1: "):
        compare(params=form("sites: [{name: Zurich}]", apply=True))
    with pytest.raises(AirflowFailException, match="^Line 1: "):
        compare(params=form("sites: [{}]", apply=False))
    assert registry.list_sites(hosting.conn) == []
