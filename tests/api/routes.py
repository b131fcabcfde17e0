"""Every route of the API, what it needs, and a body that it takes."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi.routing import APIRoute

from transhumance_airflow.api.app import make_app

NEEDS: dict[str, str | None] = {
    "health": None,
    "document": "read",
    "servers": "read",
    "server": "read",
    "transit": "read",
    "charges": "billing",
    "ask_for_transit": "perform",
    "cancel": "perform",
    "accounts": "read",
    "account": "read",
    "perform": "perform",
    "open_migrations": "read",
    "test": "test",
    "tests": "read",
    "one_test": "read",
    "report": "read",
    "report_page": "read",
    "queue": "ops",
    "campaigns": "ops",
    "inventory": "ops",
    "apply_inventory": "ops",
    "unclaimed": "ops",
    "sign": "ops",
    "doctor": "ops",
    "server_doctor": "ops",
    "ask_doctor": "ops",
    "agents": "ops",
    "upgrade": "ops",
    "enrol": "ops",
    "discovered": "ops",
    "discover": "ops",
    "adopt": "ops",
    "prepare": "ops",
    "request": "read",
    "events": "read",
    "server_events": "read",
    "account_events": "read",
    "stream": "read",
    "server_stream": "read",
    "account_stream": "read",
    "replay": "replay",
}
"""The permission that each operation needs, said a second time: whoever opens a door has to say so twice."""

BODIES: dict[str, dict[str, object]] = {
    "ask_for_transit": {"entry": "2026"},
    "cancel": {"reason": "a test"},
    "perform": {},
    "test": {"entry": "2026"},
    "replay": {"after": 0},
    "apply_inventory": {"document": "{}"},
    "sign": {"kind": "files", "name": "/srv/erp/", "reason": "a test"},
    "ask_doctor": {"server": "vps-1"},
    "upgrade": {},
    "enrol": {"access": "root_access"},
    "discover": {},
    "adopt": {"accounts": ["web1"]},
    "prepare": {},
}


def _routes() -> Iterator[tuple[str, str, APIRoute]]:
    """The operation, its method and its route."""
    for route in make_app().routes:
        assert isinstance(route, APIRoute) and route.operation_id, route
        for method in sorted(route.methods):
            yield route.operation_id, method, route


ROUTES = list(_routes())
