"""The inventory through the API and the command line: planned, applied as a whole, exported; by ops only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from cli import client, commands
from include import registry
from include.inventory import text
from include.inventory.document import Plan, Site
from include.inventory.stored import stored
from tests.api.world import Api

NOBODYS = {"user": "ops", "customer": None}


def document(api: Api) -> str:
    """What the registry knows, as the API gives it."""
    answer = api.get("/inventory", **NOBODYS)
    assert answer.status_code == 200
    return answer.json()["document"]


def with_a_site(api: Api) -> str:
    """The document with a site more."""
    known = stored(api.conn)
    everywhere = [server.model_copy(update={"site": "Zurich"}) for server in known.servers]
    return text.write(known.model_copy(update={"sites": (Site(name="Zurich"),), "servers": tuple(everywhere)}))


def test_an_export_changes_nothing(api: Api) -> None:
    answer = api.post("/inventory", {"document": document(api), "apply": True}, **NOBODYS)
    assert answer.json() == {"applied": True, "sentence": "There is nothing to do.", "changes": []}


def test_a_document_is_planned_then_applied(api: Api) -> None:
    wanted = with_a_site(api)
    planned = api.post("/inventory", {"document": wanted}, **NOBODYS).json()
    assert not planned["applied"] and planned["sentence"] == "1 to add; 6 to change."
    assert planned["changes"][0] == {
        "verb": "add", "subject": "site Zurich", "detail": "", "refused": None, "line": "add site Zurich"
    }  # fmt: skip
    assert registry.list_sites(api.conn) == []
    applied = api.post("/inventory", {"document": wanted, "apply": True}, **NOBODYS).json()
    assert applied["applied"] and applied["changes"] == planned["changes"]
    assert document(api) == wanted
    assert registry.list_events(api.conn)[-1].by == "ops ops"


def test_what_is_refused_is_told_and_nothing_of_it_applied(api: Api) -> None:
    wanted = text.write(stored(api.conn).model_copy(update={"servers": (), "sites": (Site(name="Zurich"),)}))
    planned = api.post("/inventory", {"document": wanted}, **NOBODYS).json()
    assert "refused: server vps-1" in planned["sentence"]
    assert any(change["refused"] and "move them" in change["refused"] for change in planned["changes"])
    refused = api.post("/inventory", {"document": wanted, "apply": True}, **NOBODYS)
    assert refused.status_code == 409 and refused.json()["detail"].startswith("Nothing was applied. server vps-1: ")
    assert registry.list_sites(api.conn) == []


@pytest.mark.parametrize("wrong", ["servers: [{}]", "a: &a [*a]", "\x07", "- " * 50_000])
def test_a_document_that_cannot_be_read_is_told_with_its_line(api: Api, wrong: str) -> None:
    answer = api.post("/inventory", {"document": wrong}, **NOBODYS)
    assert answer.status_code == 422 and answer.json()["type"].endswith("bad-request")
    assert answer.json()["detail"].startswith("Line 1: ")


def test_a_document_has_a_bound(api: Api) -> None:
    answer = api.post("/inventory", {"document": "x" * (text.MAX_CHARACTERS + 1)}, **NOBODYS)
    assert answer.status_code == 422 and "document: string should have at most" in answer.json()["detail"]


@pytest.fixture
def run(api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Runs a command of the inventory as ops, with what is typed."""
    whole = FastAPI()
    whole.mount("/transhumance", api.client.app)
    http = TestClient(whole, raise_server_exceptions=False)
    monkeypatch.setattr(client, "settings", lambda: ("http://testserver", "ops"))
    monkeypatch.setattr(client.httpx, "Client", lambda **_: http)
    monkeypatch.setattr(commands.console, "width", 200)
    return lambda *words, typed="": CliRunner().invoke(commands.app, ["inventory", *words], input=typed)


def test_the_command_line_plans_asks_and_applies(api: Api, run: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "host.yaml"
    file.write_text(with_a_site(api))
    assert "add site Zurich" in run("plan", str(file)).stdout
    declined = run("apply", str(file), typed="n\n")
    assert declined.exit_code == 1 and registry.list_sites(api.conn) == []
    done = run("apply", str(file), typed="y\n")
    assert done.exit_code == 0 and "Applied: 1 to add; 6 to change." in done.stdout
    assert registry.list_sites(api.conn) == ["Zurich"]
    assert run("export").stdout == file.read_text()
    assert "There is nothing to do." in run("plan", "-", typed=run("export").stdout).stdout
    assert run("apply", "--yes", str(file)).exit_code == 0


def test_the_command_line_tells_what_is_refused(run: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text("sites: []\n")
    assert "refuse to remove server vps-1" in run("plan", str(file)).stdout
    refused = run("apply", "--yes", str(file))
    assert refused.exit_code == 1 and "Nothing was applied." in refused.stderr


def test_the_page_s_document_begins_a_host(api: Api) -> None:
    page = (Path(__file__).parents[2] / "docs" / "inventory.md").read_text()
    written = page.partition("```yaml\n")[2].partition("```")[0]
    (plan,) = text.read(written).plans
    assert isinstance(plan, Plan) and plan.prices[0].currency == "CHF"
