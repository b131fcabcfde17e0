"""Callers of the API: their tokens are their names, and what they may do stands here, as FAB's roles would say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from fastapi import Request

from transhumance_airflow.api.problems import Problem

DAGS = ("migrate_server", "test_account", "bill_transits", "deliver_events", "manage_transits")
RIGHTS = {
    "nobody": set(),
    "viewer": {("GET", dag) for dag in DAGS},
    "panel": {
        ("GET", "migrate_server"),
        ("GET", "bill_transits"),
        ("POST", "test_account"),
        ("POST", "migrate_server"),
        ("POST", "deliver_events"),
    },
    "tester": {("GET", "migrate_server"), ("POST", "test_account")},
    "ops": {(method, dag) for method in ("GET", "POST") for dag in DAGS},
}
ALLOWED = {
    "nobody": set(),
    "viewer": {"read", "billing"},
    "panel": {"read", "billing", "test", "perform", "replay"},
    "tester": {"read", "test"},
    "ops": {"read", "billing", "test", "perform", "replay", "ops"},
}
"""The permissions that follow from the rights."""


@dataclass
class User(BaseUser):
    """A user of Airflow's."""

    name: str

    def get_id(self) -> str:
        return self.name

    def get_name(self) -> str:
        return self.name


class AuthManager:
    """As much of Airflow's auth manager as the API asks for."""

    def is_authorized_dag(self, *, method: str, user: User, access_entity: Any, details: Any) -> bool:
        assert access_entity.value == "RUN"
        return (method, details.id) in RIGHTS[user.name]


def authenticated(request: Request) -> User:
    """Stands in for Airflow's tokens."""
    scheme, _, name = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer" or name not in RIGHTS:
        raise Problem("no-token", "No valid token came with the call.", {"WWW-Authenticate": "Bearer"})
    return User(name)


def headers(user: str | None, customer: str | None = "customer-1", key: str | None = None) -> dict[str, str]:
    """A call's headers."""
    made = {"Authorization": f"Bearer {user}"} if user else {}
    made |= {"Transhumance-Customer": customer} if customer else {}
    return made | ({"Idempotency-Key": key} if key else {})
