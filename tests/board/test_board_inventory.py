"""The inventory on the board: the document is there, what it would change is shown, and is applied."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import psycopg
import pytest
from fastapi.testclient import TestClient

from include import registry
from include.inventory import text
from include.inventory.document import Customer
from include.inventory.stored import stored
from transhumance_airflow.board import PREFIX


@pytest.fixture
def olga(client: Callable[[str | None], TestClient]) -> TestClient:
    return client("olga")


def with_a_customer(conn: psycopg.Connection, name: str) -> str:
    known = stored(conn)
    return text.write(known.model_copy(update={"customers": (*known.customers, Customer(name=name))}))


def test_the_page_has_the_document_and_the_board_leads_to_it(olga: TestClient, conn: psycopg.Connection) -> None:
    assert f'href="{PREFIX}/inventory"' in olga.get(PREFIX + "/").text
    page = olga.get(PREFIX + "/inventory").text
    (document,) = re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)
    assert html.unescape(document) == text.write(stored(conn))


def test_a_document_is_shown_then_applied(olga: TestClient, conn: psycopg.Connection) -> None:
    document = with_a_customer(conn, "<script>'s farm & co")
    shown = olga.post(PREFIX + "/inventory/plan", data={"document": document}).text
    assert "1 to add." in shown and "add customer &lt;script&gt;&#39;s farm &amp; co: mail none" in shown
    assert stored(conn) != text.read(document)
    applied = olga.post(PREFIX + "/inventory/apply", data={"document": document}).text
    assert "Applied: 1 to add." in applied and stored(conn) == text.read(document)
    assert registry.list_events(conn, after=registry.settled(conn) - 1)[-1].by == "olga"


def test_what_cannot_be_is_told_and_nothing_is_done(olga: TestClient, conn: psycopg.Connection) -> None:
    before = stored(conn)
    shown = olga.post(PREFIX + "/inventory/plan", data={"document": "{}"}).text
    assert '<li class="late">refuse to remove server vps-1: ' in shown
    refused = olga.post(PREFIX + "/inventory/apply", data={"document": "{}"}).text
    assert refused.startswith('<p class="late">Nothing was applied.')
    wrong = olga.post(PREFIX + "/inventory/apply", data={"document": "servers: [{}]"}).text
    assert wrong.startswith('<p class="late">Line 1: ')
    assert olga.post(PREFIX + "/inventory/forget", data={"document": "{}"}).status_code == 422
    assert stored(conn) == before


def test_another_sites_page_cannot_apply(olga: TestClient, conn: psycopg.Connection) -> None:
    headers = {"origin": "https://evil.example"}
    document = with_a_customer(conn, "Evil")
    assert olga.post(PREFIX + "/inventory/apply", data={"document": document}, headers=headers).status_code == 403
    assert stored(conn) != text.read(document)
