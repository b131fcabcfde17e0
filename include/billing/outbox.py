"""The outbox: messages that are sent until they are taken, posted to the host's own system or mailed.

A message is written in the transaction of the fact that it tells. It is delivered at least once; its key stays
the same, so that the receiver can drop what it has. Ledger entries go out a thousand to a message: they have one
reader, the accounting system, and a message a lease-day would be a million calls a day for a large host.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
from psycopg.pq import TransactionStatus

from include.billing.export import entries
from include.registry.database import RegistryRefused, execute, rows, transaction, value

BATCH = 50
MAX_FAILURES_IN_A_ROW = 3
"""After so many failures in a row the receiver is taken to be down, and the rest waits for the next run."""

CLAIM = f"""
UPDATE outbox SET attempts = attempts + 1, next_attempt_at = now() + interval '15 minutes'
WHERE id IN (
    SELECT id FROM outbox WHERE channel = %(channel)s AND delivered_at IS NULL AND next_attempt_at <= now()
    ORDER BY id LIMIT {BATCH} FOR UPDATE SKIP LOCKED
)
RETURNING id, key, kind, payload, created_at
"""
SETTLE = """
UPDATE outbox o SET last_error = r.error,
    delivered_at = CASE WHEN r.error IS NULL THEN now() END,
    next_attempt_at = now() + least(interval '6 hours', interval '30 seconds' * power(2, least(o.attempts, 20) - 1))
FROM unnest(%(ids)s::bigint[], %(errors)s::text[]) AS r (id, error) WHERE o.id = r.id
"""
GIVE_BACK = "UPDATE outbox SET attempts = attempts - 1, next_attempt_at = now() WHERE id = ANY (%(ids)s)"


@dataclass(frozen=True)
class Message:
    """A row of the outbox."""

    id: int
    key: str
    kind: str
    payload: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class Receiver:
    """Where messages go: an HTTPS address, and the secret that signs them. Refused without either: what anybody could
    read on its way, or sign as we do, is worth nothing to who gets it. A receiver on this machine may be asked by HTTP.
    """

    url: str
    secret: str

    def __post_init__(self) -> None:
        if not _is_private(self.url):
            raise RegistryRefused("The webhook's address must begin with https://: correct the connection's host.")
        if not self.secret.strip():
            raise RegistryRefused("The webhook has no secret to sign with: give its connection a password.")

    def __repr__(self) -> str:
        return f"Receiver({self.url!r})"


def _is_private(url: str) -> bool:
    """Whether nobody on the way reads what goes to an address."""
    try:
        to = urlsplit(url)
        if to.scheme != "http":
            return to.scheme == "https" and bool(to.hostname)
        return to.hostname == "localhost" or ip_address(to.hostname or "").is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Delivered:
    """What a run of `deliver` did; `waiting` is what is left in the outbox, `error` the last one."""

    delivered: int
    failed: int
    waiting: int
    error: str | None = None


def deliver(conn: psycopg.Connection, receiver: Receiver, client: httpx.Client | None = None) -> Delivered:
    """Post what is due to the host's own system: see `hand_on`. Any answer of 200 to 299 within 20 s is a yes."""
    own = client or httpx.Client(timeout=20.0)
    try:
        return hand_on(conn, "webhook", lambda message: _post(own, receiver, message.key, _body(conn, message)))
    finally:
        if client is None:
            own.close()


def hand_on(conn: psycopg.Connection, channel: str, send: Callable[[Message], str | None]) -> Delivered:
    """Send what is due on a channel of the outbox, oldest first, and commit as it goes: `conn` must not be in a
    transaction. `send` gives None when the message was taken, else what happened.

    A message that was not taken waits 30 s, then twice as long each time, up to 6 hours; it is never given up. Two at
    once share the work. A message that was sent by a process that died before it could note so is sent again a quarter
    of an hour later.
    """
    if conn.info.transaction_status != TransactionStatus.IDLE:
        raise RuntimeError("Messages are delivered outside of any open transaction: commit it first.")
    delivered = failed = in_a_row = 0
    error = None
    which = {"channel": channel}
    while in_a_row < MAX_FAILURES_IN_A_ROW:
        with transaction(conn):
            claimed = sorted(rows(conn, Message, CLAIM, which), key=lambda message: message.id)
        if not claimed:
            break
        results: list[str | None] = []
        for message in claimed:
            result = send(message)
            results.append(result)
            in_a_row = in_a_row + 1 if result else 0
            error = result or error
            if in_a_row == MAX_FAILURES_IN_A_ROW:
                break
        with transaction(conn):
            posted = [message.id for message in claimed[: len(results)]]
            execute(conn, SETTLE, {"ids": posted, "errors": results})
            execute(conn, GIVE_BACK, {"ids": [message.id for message in claimed[len(results) :]]})
        delivered += results.count(None)
        failed += len(results) - results.count(None)
    with transaction(conn):
        waiting = value(conn, "SELECT count(*) FROM outbox WHERE channel = %(channel)s AND delivered_at IS NULL", which)
    return Delivered(delivered, failed, waiting, error)


def _body(conn: psycopg.Connection, message: Message) -> bytes:
    data = dict(message.payload)
    if message.kind == "ledger.entries":
        with transaction(conn):
            page = entries(conn, after=data["first"] - 1, through=data["last"])
            data["entries"] = [asdict(entry) for entry in page]
    body = {"key": message.key, "kind": message.kind, "created_at": message.created_at, "data": data}
    return json.dumps(body, default=str, ensure_ascii=False).encode()


def _post(client: httpx.Client, receiver: Receiver, key: str, body: bytes) -> str | None:
    """None when the receiver said yes, else what happened."""
    at = str(int(time.time()))
    signature = hmac.new(receiver.secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": key,
        "Transhumance-Signature": f"t={at},v1={signature}",
    }
    try:
        answer = client.post(receiver.url, content=body, headers=headers, follow_redirects=False)
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}"[:300]
    return None if answer.is_success else f"{answer.status_code} {answer.reason_phrase}"[:300]
