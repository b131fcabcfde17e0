"""Webhooks and exports, and two runs at once: on registries of their own, since these commit."""

import csv
import hashlib
import hmac
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
import pytest

from include.billing import (
    Receiver,
    apply_settings,
    bill_days,
    deliver,
    entries,
    export_ledger,
    exported_through,
    mark_exported,
    send_reminders,
    settle_late_facts,
)
from include.registry.database import RegistryRefused
from include.settings import Settings
from tests.billing.facts import at, lease, leave, ledger, price


@pytest.fixture
def billed(dsn: str) -> Iterator[psycopg.Connection]:
    """A connection to a registry with six leases, billed through 12 March 2026: 24 charges."""
    with psycopg.connect(dsn) as conn:
        with conn.transaction():
            apply_settings(conn, Settings("Europe/Paris"))
            price(conn, "31.00", date(2026, 1, 1))
            for number in range(1, 7):
                lease(conn, number, at("2026-03-01 10:00"))
        bill_days(conn, now=at("2026-03-13 00:15"))
        yield conn


class Panel(ThreadingHTTPServer):
    """A real HTTP server; `answers` is what it says, the last for ever, `got` what came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = [204]
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.receiver = Receiver(f"http://127.0.0.1:{self.server_port}/billing", "a secret")


class Handler(BaseHTTPRequestHandler):
    server: Panel

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), body))
        answers = self.server.answers
        self.send_response(answers.pop(0) if len(answers) > 1 else answers[0])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Panel]:
    """The host's panel, which listens."""
    server = Panel()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def due_now(conn: psycopg.Connection) -> None:
    """Time passes: what waits is due."""
    with conn.transaction():
        conn.execute("UPDATE outbox SET next_attempt_at = now() WHERE delivered_at IS NULL")


def test_a_charge_is_told_once_signed_and_with_its_key(billed: psycopg.Connection, receiver: Panel) -> None:
    told = deliver(billed, receiver.receiver)
    assert (told.delivered, told.failed, told.waiting) == (1, 0, 0)
    ((headers, body),) = receiver.got
    message = json.loads(body)
    assert headers["Idempotency-Key"] == message["key"] == "ledger-1-24"
    assert [entry["amount"] for entry in message["data"]["entries"]] == ["1.00"] * 24
    stamp, signature = (part.split("=")[1] for part in headers["Transhumance-Signature"].split(","))
    assert signature == hmac.new(b"a secret", f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert deliver(billed, receiver.receiver).delivered == 0
    assert "secret" not in repr(receiver.receiver)


def test_a_refused_message_waits_longer_each_time_and_is_the_same_again(
    billed: psycopg.Connection, receiver: Panel
) -> None:
    receiver.answers = [500, 503, 204]
    told = deliver(billed, receiver.receiver)
    assert (told.delivered, told.failed, told.waiting, told.error) == (0, 1, 1, "500 Internal Server Error")
    assert deliver(billed, receiver.receiver).failed == 0, "it must wait first"
    waits = []
    for _ in range(2):
        ((wait,),) = billed.execute("SELECT next_attempt_at - now() FROM outbox").fetchall()
        billed.rollback()
        waits.append(wait.total_seconds())
        due_now(billed)
        told = deliver(billed, receiver.receiver)
    assert 20 < waits[0] <= 30 and 45 < waits[1] <= 60
    assert told.delivered == 1
    assert len({body for _, body in receiver.got}) == 1


def test_a_receiver_that_is_down_is_not_tried_for_every_message(billed: psycopg.Connection) -> None:
    send_reminders(billed, (2, 1, 0), now=at("2026-03-13 00:15"))
    told = deliver(billed, Receiver("http://127.0.0.1:9/", "x"))
    assert (told.delivered, told.failed, told.waiting) == (0, 3, 7)
    assert told.error and told.error.startswith("ConnectError")
    attempts = [row[0] for row in billed.execute("SELECT attempts FROM outbox ORDER BY id")]
    assert attempts == [1, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("url", "secret", "why"),
    [
        ("http://panel.example/hook", "a secret", "must begin with https://"),
        ("http://127.0.0.1.example/", "a secret", "must begin with https://"),
        ("http://192.0.2.1/", "a secret", "must begin with https://"),
        ("panel.example/hook", "a secret", "must begin with https://"),
        ("https:///hook", "a secret", "must begin with https://"),
        ("https://[panel/", "a secret", "must begin with https://"),
        ("", "a secret", "must begin with https://"),
        ("https://panel.example/hook", "", "no secret to sign with"),
        ("https://panel.example/hook", " \n", "no secret to sign with"),
    ],
)
def test_what_anybody_could_read_or_sign_is_not_sent(url: str, secret: str, why: str) -> None:
    with pytest.raises(RegistryRefused, match=why):
        Receiver(url, secret)


def test_a_receiver_of_this_machine_may_be_asked_by_http() -> None:
    assert [Receiver(url, "x").url[:7] for url in ("http://localhost:1/", "http://[::1]:1/")] == ["http://"] * 2


def test_delivery_does_not_begin_within_a_transaction(billed: psycopg.Connection, receiver: Panel) -> None:
    billed.execute("SELECT 1")
    with pytest.raises(RuntimeError, match="open transaction"):
        deliver(billed, receiver.receiver)


def test_a_message_cannot_be_changed_or_taken_back(billed: psycopg.Connection) -> None:
    for statement in ("UPDATE outbox SET payload = '{}'", "DELETE FROM outbox", "TRUNCATE outbox"):
        with pytest.raises(psycopg.Error, match="outbox"), billed.transaction():
            billed.execute(statement)


def test_an_export_hands_over_each_entry_once(billed: psycopg.Connection) -> None:
    stream = io.StringIO()
    assert export_ledger(billed, "books", "csv", stream) == 24
    rows = list(csv.DictReader(io.StringIO(stream.getvalue())))
    assert len(rows) == 24 and sum(Decimal(row["amount"]) for row in rows) == 24
    assert rows[0]["customer"].startswith("customer-") and rows[0]["reason"] == ""
    with billed.transaction():
        leave(billed, int(rows[0]["lease"]), at("2026-03-10 12:00"))
    settle_late_facts(billed)
    stream = io.StringIO()
    assert export_ledger(billed, "books", "jsonl", stream) == 3
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["amount"] for line in lines] == ["-1.00"] * 3
    assert lines[0]["corrects"] is not None and "last account left" in lines[0]["reason"]
    assert export_ledger(billed, "books", "jsonl", io.StringIO()) == 0
    assert export_ledger(billed, "another", "jsonl", io.StringIO()) == 27
    assert mark_exported(billed, "books", 3) == 0
    with pytest.raises(RegistryRefused, match="no entry 99999"):
        mark_exported(billed, "books", 99999)
    with pytest.raises(RegistryRefused, match="csv or jsonl"):
        export_ledger(billed, "books", "xml", io.StringIO())


def test_an_export_that_fails_marks_nothing(billed: psycopg.Connection) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError("no space left")

    with pytest.raises(OSError):
        export_ledger(billed, "books", "csv", Full())
    assert exported_through(billed, "books") == 0
    assert len(list(entries(billed, after=20))) == 4


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
def test_runs_at_once_bill_once(dsn: str, isolation: str) -> None:
    with psycopg.connect(dsn) as conn, conn.transaction():
        apply_settings(conn, Settings("Europe/Paris"))
        price(conn, "31.00", date(2026, 1, 1))
        leases = [lease(conn, number, at("2026-03-01 10:00")) for number in range(1, 13)]
    barrier = threading.Barrier(8)

    def work(number: int) -> int:
        with psycopg.connect(
            dsn, options=f"-c default_transaction_isolation={isolation.replace(' ', chr(92) + ' ')}"
        ) as own:
            done = 0
            for day in range(9, 25):
                barrier.wait()
                try:
                    done += bill_days(own, now=at("2026-03-01 00:15") + timedelta(days=day)).charges
                    settle_late_facts(own)
                except (psycopg.errors.UniqueViolation, psycopg.errors.SerializationFailure):
                    assert isolation == "REPEATABLE READ"  # a retry would find the work done
                if number == 0 and day == 15:
                    with own.transaction():
                        for each in leases[:6]:
                            leave(own, each, at("2026-03-12 12:00"))
            return done

    with ThreadPoolExecutor(8) as pool:
        charges = sum(pool.map(work, range(8)))
    with psycopg.connect(dsn) as conn:
        settle_late_facts(conn)
        rows = ledger(conn)
        kinds = [row[3] for row in rows]
        assert kinds.count("charge") == charges
        total = sum(row[4] for row in rows)
        # Six leases for the 9th to the 11th, six to the 24th.
        assert total == 6 * 3 + 6 * 16
        told = conn.execute("SELECT payload -> 'first', payload -> 'last' FROM outbox ORDER BY id").fetchall()
        ids = [row[0] for row in conn.execute("SELECT id FROM ledger_entries ORDER BY id")]
        assert [i for i in ids if not any(first <= i <= last for first, last in told)] == []
