"""A customer's panel in the lab: it calls the API as a host's own panel would, for one customer, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from cli.client import CallFailed, Client
from lab import airflow
from lab.say import LabError


class Panel:
    """One customer's panel. What the API refuses is raised as `CallFailed`, with its sentence."""

    def __init__(self, customer: str | None) -> None:
        """`customer` None: the host's ops."""
        self.api = Client(airflow.client(), None, customer)

    def migrations(self, account: str) -> list[dict[str, Any]]:
        """The migrations that are open to the account."""
        return self.api.get(f"/accounts/{account}/migrations")["migrations"]

    def test(self, account: str, entry: str) -> dict[str, Any]:
        """Presses Test; gives the request."""
        return self.api.post(f"/accounts/{account}/tests", entry=entry)

    def tests(self, account: str) -> list[dict[str, Any]]:
        """The account's tests, newest first, with addresses and what came of them."""
        return self.api.get(f"/accounts/{account}/tests")["tests"]

    def ask_for_transit(self, server: str, entry: str, lift_gate_because: str | None = None) -> dict[str, Any]:
        """Says that the customer is ready; gives the request. Only ops lift the gate."""
        return self.api.post(f"/servers/{server}/transit", entry=entry, lift_gate_because=lift_gate_because)

    def perform(self, account: str, longest_wait_seconds: float = 1, entry: str | None = None) -> dict[str, Any]:
        """Presses Perform; gives the request. `entry` is for an account of a shared server."""
        return self.api.post(f"/accounts/{account}/perform", longest_wait_seconds=longest_wait_seconds, entry=entry)

    def cancel(self, server: str, reason: str) -> dict[str, Any]:
        """Cancels the server's migration; gives the request."""
        return self.api.post(f"/servers/{server}/cancel", reason=reason)

    def server(self, name: str) -> dict[str, Any]:
        """Where a server stands, with its transit and its accounts."""
        return self.api.get(f"/servers/{name}")

    def account(self, name: str) -> dict[str, Any]:
        """Where an account stands."""
        return self.api.get(f"/accounts/{name}")

    def state(self, *, server: str | None = None, account: str | None = None) -> str:
        """The one word."""
        return (self.server(server) if server else self.account(account or ""))["state"]

    def charges(self, server: str) -> dict[str, Any]:
        """What the server's transit costs."""
        return self.api.get(f"/servers/{server}/charges")

    def request(self, id: str) -> dict[str, Any]:
        """What became of a request."""
        return self.api.get(f"/requests/{id}")

    def follow(self, *, server: str | None = None, last: int | None = None) -> Iterator[dict[str, Any]]:
        """Events as they happen, for ever; of a server and its accounts, or of everything."""
        return self.api.follow(f"/servers/{server}/stream" if server else "/stream", last)

    def wait(self, request: dict[str, Any], seconds: float = 600) -> dict[str, Any]:
        """Returns the request when its run has ended well. Raises LabError with why when it failed or takes longer."""

        def ended() -> dict[str, Any] | None:
            now = self.request(request["id"])
            if now["run"]["state"] == "failed":
                raise LabError(f"{request['action']} {request['subject']} failed: {now['why'] or now['run']['url']}")
            return now if now["run"]["state"] == "success" else None

        return self._until(ended, f"{request['action']} {request['subject']}", seconds)

    def wait_for_state(self, server: str, state: str, seconds: float = 600) -> dict[str, Any]:
        """Returns the server when it is in `state`; raises LabError when the host has to look at it, or after
        `seconds`."""

        def in_state() -> dict[str, Any] | None:
            now = self.server(server)
            if now["waits_for"] == "host" and now["state"] != "waiting_for_transit":
                raise LabError(f"{server} is {now['state']}: {now['next']}")
            return now if now["state"] == state else None

        return self._until(in_state, f"{server} {state}", seconds)

    def _until(self, ask: Callable[[], dict[str, Any] | None], awaited: str, seconds: float) -> dict[str, Any]:
        until = time.monotonic() + seconds
        while (answer := ask()) is None:
            if time.monotonic() > until:
                raise LabError(f"{awaited}: not after {seconds:g} s.")
            time.sleep(0.5)
        return answer


__all__ = ["Panel", "CallFailed"]
