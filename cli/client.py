"""The API as functions: paths in, parsed answers out; what it refuses comes as `CallFailed` with its sentence."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx

BASE = "/transhumance/v1"
TRIES = 4
"""So often is a call made whose answer did not arrive; its key makes the same of it each time."""


class CallFailed(Exception):
    """The API said no, or said nothing; the text is a sentence for people."""


def settings() -> tuple[str, str]:
    """(address, token) from the environment; a token is fetched for a user and password. CallFailed without them."""
    url = os.environ.get("TRANSHUMANCE_URL", "").rstrip("/")
    if not url:
        raise CallFailed("Where Airflow is, is not known: set TRANSHUMANCE_URL, such as https://airflow.example.")
    if token := os.environ.get("TRANSHUMANCE_TOKEN"):
        return url, token
    user, password = (os.environ.get(f"TRANSHUMANCE_{name}") for name in ("USER", "PASSWORD"))
    if not user or not password:
        raise CallFailed(
            "Who calls is not known: set TRANSHUMANCE_TOKEN, or TRANSHUMANCE_USER and TRANSHUMANCE_PASSWORD."
        )
    with httpx.Client(base_url=url, timeout=30) as http:
        return url, fetch_token(http, user, password)


def fetch_token(http: httpx.Client, user: str, password: str) -> str:
    """A token of Airflow's for the user. Raises CallFailed when it gives none."""
    try:
        answer = http.post("/auth/token", json={"username": user, "password": password})
    except httpx.HTTPError as error:
        raise CallFailed(f"{http.base_url} does not answer ({type(error).__name__}): check TRANSHUMANCE_URL.") from None
    if not answer.is_success:
        raise CallFailed(f"Airflow gives no token ({answer.status_code}): check user and password.")
    return answer.json()["access_token"]


def connect(customer: str | None) -> Client:
    """A client as the environment says. `customer` is whom the calls act for; None: the host."""
    url, token = settings()
    return Client(httpx.Client(base_url=url, timeout=30), token, customer)


class Client:
    """Calls of the API, for one customer or for the host. Without a `token`, `http` knows it by itself."""

    def __init__(self, http: httpx.Client, token: str | None, customer: str | None = None) -> None:
        self.http = http
        self.headers: dict[str, Any] = {"Authorization": f"Bearer {token}"} if token else {}
        if customer:
            self.headers["Transhumance-Customer"] = customer.encode()

    def get(self, path: str, **query: Any) -> Any:
        """A parsed answer."""
        return self._call("GET", path, params=query)

    def post(self, path: str, **body: Any) -> Any:
        """A parsed answer; started once, however often it is tried."""
        return self._call("POST", path, json=body, headers={"Idempotency-Key": str(uuid.uuid4())})

    def _call(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> Any:
        for left in reversed(range(TRIES)):
            try:
                answer = self.http.request(method, BASE + path, headers={**self.headers, **(headers or {})}, **more)
            except httpx.TransportError as error:
                if not left:
                    raise CallFailed(f"{self.http.base_url} does not answer ({type(error).__name__}).") from None
                time.sleep(1)
                continue
            if answer.status_code == 503 and left:
                time.sleep(float(answer.headers.get("Retry-After", 1)))
                continue
            return _parsed(answer)

    def pages(self, path: str, key: str) -> Iterator[Any]:
        """Every item of a list that comes in pages."""
        after = ""
        while after is not None:
            page = self.get(path, after=after)
            yield from page[key]
            after = page["next"]

    def follow(self, path: str, last: int | None = None) -> Iterator[dict[str, Any]]:
        """Events as they happen, for ever; from now on, or behind `last`. A stream that ends or breaks is taken up
        where it was."""
        while True:
            headers = {**self.headers, **({} if last is None else {"Last-Event-ID": str(last)})}
            try:
                with self.http.stream("GET", BASE + path, headers=headers, timeout=60) as answer:
                    if not answer.is_success:
                        answer.read()
                        _parsed(answer)
                    for event in events(answer.iter_lines()):
                        last = event["id"]
                        yield event
            except httpx.TransportError:
                time.sleep(1)


def events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The events of a stream of server-sent events whose data is JSON."""
    data: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data.append(line[5:].strip())
        elif not line and data:
            yield json.loads("\n".join(data))
            data = []


def _parsed(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json()
    try:
        raise CallFailed(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        raise CallFailed(f"The API answers {answer.status_code}: is TRANSHUMANCE_URL Airflow's address?") from None
