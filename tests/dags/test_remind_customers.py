"""`remind_customers`: its shape, and its steps with a real registry and a real mail server made for the test."""

from __future__ import annotations

import email
import socketserver
import threading
from collections.abc import Iterator
from datetime import date
from email.message import Message
from typing import Any

import pytest
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException, AirflowSkipException

from include import registry
from include.settings import Settings
from tests.dags.hosting import Hosting
from tests.dags.steps import step
from transhumance_airflow import outbox

DEADLINE = date(2026, 12, 31)


class Server(socketserver.ThreadingTCPServer):
    """A mail server: what it took, and whether it refuses."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Post)
        self.mails: list[Message] = []
        self.refusing = False


class Post(socketserver.StreamRequestHandler):
    """Enough of SMTP to take mail, or to refuse it."""

    server: Server

    def handle(self) -> None:
        self._say("220 here")
        lines: list[bytes] = []
        while line := self.rfile.readline():
            word = line[:4].upper()
            if word == b"DATA":
                self._say("354 go on")
                while (part := self.rfile.readline()) != b".\r\n":
                    lines.append(part)
                self.server.mails.append(email.message_from_bytes(b"".join(lines)))
                lines.clear()
                self._say("250 taken")
            elif word == b"QUIT":
                self._say("221 bye")
                return
            elif word == b"RCPT" and self.server.refusing:
                self._say("451 later")
            else:
                self._say("250 yes")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture
def post() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch, post: Server) -> dict[str, Any]:
    """What Airflow knows: the mail server."""

    class Smtp:
        host, port, login, password = "127.0.0.1", post.server_address[1], None, None
        extra_dejson = {"from": "Your host <care@host.example>", "security": "none"}

    known = {"smtp": Smtp}

    def get(conn_id: str) -> Any:
        if conn_id not in known:
            raise AirflowNotFoundException(conn_id)
        return known[conn_id]

    monkeypatch.setattr(BaseHook, "get_connection", get)
    return known


@pytest.fixture
def dag(dags: dict[str, Any], shared: Hosting, connections: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The DAG; the entry is mandatory, and one of two customers has an address."""
    entry = registry.Entry("infrastructure-2026", "Infrastructure 2026", "infrastructure", "2022", "2026")
    known = {**vars(entry), "mandatory": True, "opens": date(2026, 9, 1), "deadline": DEADLINE}
    others = [one for one in registry.list_catalogue(shared.conn) if one.name != entry.name]
    for one in others:
        registry.sync_catalogue(shared.conn, [registry.Entry(**{**vars(one), "mandatory": False})])
    registry.sync_catalogue(shared.conn, [registry.Entry(**known)])
    registry.set_customer_mail(shared.conn, "customer of shop", "owner@shop.example")
    return dags["remind_customers"]


def remind(dag: Any, monkeypatch: pytest.MonkeyPatch, on: date) -> int:
    monkeypatch.setattr(Settings, "today", lambda self: on)
    return step(dag, "enter_reminders")


def test_it_reads_like_the_runbook(dags: dict[str, Any]) -> None:
    dag = dags["remind_customers"]
    assert dag.task_dict["take_over_catalogue"].downstream_task_ids == {"refresh_servers"}
    assert dag.task_dict["refresh_servers"].downstream_task_ids == {"enter_reminders"}
    assert dag.task_dict["enter_reminders"].downstream_task_ids == {"send_mails", "deliver_webhooks"}
    assert all(f"**{name}**" in dag.doc_md for name in dag.task_dict)
    assert dag.max_active_runs == 1 and "Europe/Paris" in repr(vars(dag.timetable))


def test_each_reminder_goes_out_once(dag: Any, shared: Hosting, post: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    subjects = []
    for on in ("2026-09-01", "2026-12-01", "2026-12-24", "2026-12-30", "2026-12-31"):
        for _ in range(2):
            remind(dag, monkeypatch, date.fromisoformat(on))
            outbox.send_mails(shared.conn)
        assert {mail["To"] for mail in post.mails} == {"owner@shop.example"}
        subjects += [mail["Subject"] for mail in post.mails]
        post.mails.clear()
    assert subjects == [
        "Infrastructure 2026: your account shop can be tested",
        "Infrastructure 2026: a month left for your account shop",
        "Infrastructure 2026: a week left for your account shop",
        "Infrastructure 2026: the last day for your account shop",
        "Infrastructure 2026: we perform your account shop",
    ]
    # Everybody else is reached through the host's own system, whose webhook tells all of them.
    told = shared.conn.execute("SELECT count(*) FROM outbox WHERE channel = 'webhook' AND kind = 'entry.reminder'")
    assert told.fetchall() == [(5 * 4,)]  # app, blog, shop, wiki


def test_a_mail_says_what_to_do_and_until_when(
    dag: Any, shared: Hosting, post: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    remind(dag, monkeypatch, date(2026, 12, 24))
    outbox.send_mails(shared.conn)
    (mail,) = post.mails
    payload = mail.get_payload(decode=True)
    assert isinstance(payload, bytes)
    text = payload.decode()
    assert "your account shop" in text and "31 December 2026" in text and "{" not in text
    assert mail["Message-ID"] == "<entry-infrastructure-2026-shop-7_days-mail@host.example>"
    assert mail["From"] == "Your host <care@host.example>"


def test_what_is_not_taken_waits_and_fails_the_task(
    dag: Any, shared: Hosting, post: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    remind(dag, monkeypatch, date(2026, 12, 24))
    post.refusing = True
    with pytest.raises(AirflowException, match="1 messages were not taken.*451"):
        outbox.send_mails(shared.conn)
    post.refusing = False
    shared.conn.execute("UPDATE outbox SET next_attempt_at = now()")
    assert outbox.send_mails(shared.conn).delivered == 1


def test_an_account_created_since_is_reminded_too_and_a_server_that_is_down_delays_nothing(
    dag: Any, shared: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.servers["web-1"].accounts["late"] = {"state": "serving", "epoch": 1, "move": None}
    shared.servers["web-1"].accounts["gone"] = {"state": "moved", "epoch": 1, "move": "m1"}
    del shared.servers["test-1"]
    assert step(dag, "refresh_servers") == ["test-1: test-1 cannot be reached."]
    assert remind(dag, monkeypatch, date(2026, 12, 24)) == 5
    assert registry.account(shared.conn, "late").server == "web-1"
    with pytest.raises(registry.RegistryRefused):
        registry.account(shared.conn, "gone")


def test_without_a_connection_messages_wait(
    dag: Any, shared: Hosting, connections: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    connections.clear()
    assert remind(dag, monkeypatch, date(2026, 12, 24)) == 4
    for send in (outbox.send_mails, outbox.deliver_webhooks):
        with pytest.raises(AirflowSkipException, match="There is no connection"):
            send(shared.conn)
