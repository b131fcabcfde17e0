"""Webhooks: each event once to the outbox, in a customer's words, signed, delivered, and delivered again when asked."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime

import httpx
import psycopg
import pytest

from include import billing, registry
from include.panel import event_text
from include.panel.webhooks import enqueue_events
from include.registry import webhooks
from include.registry.kinds import EventKind
from tests.api.world import Api
from tests.registry import host


def delivered(conn: psycopg.Connection) -> list[dict]:
    """What a receiver gets now, its signature checked."""
    got = []

    def receive(request: httpx.Request) -> httpx.Response:
        at, signature = (part.partition("=")[2] for part in request.headers["Transhumance-Signature"].split(","))
        assert signature == hmac.new(b"secret", f"{at}.".encode() + request.content, hashlib.sha256).hexdigest()
        got.append(json.loads(request.content))
        assert got[-1]["key"] == request.headers["Idempotency-Key"]
        return httpx.Response(204)

    with httpx.Client(transport=httpx.MockTransport(receive)) as client:
        billing.deliver(conn, billing.Receiver("https://panel.example/hook", "secret"), client)
    return [one for one in got if one["kind"] == "event"]


def test_each_event_is_announced_once_and_in_a_customers_words(api: Api) -> None:
    conn = api.conn
    host.handed_over(conn, 1)
    told = [event for event in registry.list_events(conn) if event.kind in event_text.TOLD and event.customer]
    assert enqueue_events(conn) == len(told) > 5 and enqueue_events(conn) == 0
    messages = delivered(conn)
    assert [one["data"]["id"] for one in messages] == [event.id for event in told]
    assert {one["data"]["customer"] for one in messages} == {"customer-1", "customer-2"}
    began = next(one["data"] for one in messages if one["data"]["kind"] == "migration.began")
    assert (began["customer"], began["server"], began["account"]) == ("customer-1", "vps-1", None)
    assert began["sentence"] == "The migration of vps-1 began."
    assert set(began) == {"id", "at", "kind", "customer", "account", "server", "sentence"}
    assert "ssh-ed25519" not in str(messages) and delivered(conn) == []


def test_an_event_that_is_committed_late_is_waited_for(api: Api) -> None:
    enqueue_events(api.conn)
    delivered(api.conn)
    with psycopg.connect(api.conn.info.dsn) as slow:
        slow.execute("SELECT")  # a transaction is open from here on
        late = registry.event(slow, EventKind.MOVE_DONE, account="a1-1")
        early = registry.event(api.conn, EventKind.MOVE_DONE, account="a2-1")
        assert late < early and enqueue_events(api.conn) == 0
    assert enqueue_events(api.conn) == 2
    assert [one["data"]["id"] for one in delivered(api.conn)] == [late, early]


def test_a_replay_is_of_what_was_asked_for(api: Api) -> None:
    enqueue_events(api.conn)
    everything = delivered(api.conn)
    middle = everything[1]["data"]["id"]
    assert webhooks.replay(api.conn, middle, "customer-2") > 0
    again = delivered(api.conn)
    assert {one["data"]["customer"] for one in again} == {"customer-2"}
    assert all(one["data"]["id"] > middle for one in again)
    assert again[0]["key"] in {one["key"] for one in everything}, "the receiver knows it by its key"
    assert webhooks.replay(api.conn, 0, None) == len(everything)


def test_the_api_asks_for_a_replay_of_the_callers_own(api: Api) -> None:
    assert api.post("/webhooks/replay", {"after": 7}).status_code == 202
    assert api.post("/webhooks/replay", {"after": 8}, user="ops", customer=None).status_code == 202
    mine, all_of_them = api.runs.of("deliver_events")
    assert (mine["replay_after"], mine["customer"]) == (7, "customer-1")
    assert (all_of_them["replay_after"], all_of_them["customer"]) == (8, None)


NOW = datetime.now(UTC)


@pytest.mark.parametrize("kind", sorted(event_text.TOLD))
def test_every_sentence_can_be_said_of_an_event_without_detail(kind: str) -> None:
    event = registry.Event(1, NOW, kind, None, "blog", "vps-1", None, None, {}, None)
    said = event_text.for_customer(event)
    assert said.endswith(".") and "{" not in said and "None" not in said


def test_a_customers_text_in_a_detail_is_only_text() -> None:
    detail = {"reason": "{account.__class__} {0} %s"}
    event = registry.Event(1, NOW, "migration.cancelled", 1, None, "vps-1", None, None, detail, None)
    assert event_text.for_customer(event) == "The migration was cancelled: {account.__class__} {0} %s."
