"""What the steps of a run hand on to each other. No secret is in it: Airflow keeps it, and shows it.

A run may wait for weeks, so what a step of an older release gave is read by this one: a field that is added has a
default, and one that is taken out is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from include import registry


@dataclass(frozen=True)
class MigrationFacts:
    """A server's migration."""

    id: int
    server: str
    from_infrastructure: str
    to_infrastructure: str


@dataclass(frozen=True)
class TakeBackFacts:
    """The way back of a server whose transit died; `id` is its migration. `in_transits_place`: the disk that it had
    before its reinstall stands in for the transit."""

    id: int
    server: str
    transit: str
    in_transits_place: bool


@dataclass(frozen=True)
class MoveAsked:
    """What a run of `move_account` asks for."""

    account: str
    to_server: str
    run_id: str
    requested_by: str
    longest_wait_seconds: float

    @classmethod
    def of(cls, params: Mapping[str, Any], run_id: str) -> MoveAsked:
        """As the form says it."""
        return cls(
            params["account"], params["to_server"], run_id, params["requested_by"], params["longest_wait_seconds"]
        )


@dataclass(frozen=True)
class MoveOverAsked:
    """What a run of `migrate_account` asks for. `to_server`: None lets the registry choose."""

    account: str
    entry: str
    run_id: str
    requested_by: str
    to_server: str | None
    lift_gate_because: str | None
    longest_wait_seconds: float

    @classmethod
    def of(cls, params: Mapping[str, Any], run_id: str) -> MoveOverAsked:
        """As the form says it; a field that was left empty is not given."""
        return cls(
            params["account"],
            params["entry"],
            run_id,
            params["requested_by"],
            params["to_server"] or None,
            params["lift_gate_because"] or None,
            params["longest_wait_seconds"],
        )


@dataclass(frozen=True)
class MoveFacts:
    """A move of an account, or of its databases of one `engine`; `login` is what servers call the account."""

    id: int
    key: str
    migration: int | None
    account: str
    login: str
    from_server: str
    to_server: str
    direction: str
    engine: str | None
    epoch: int
    longest_wait_seconds: float

    @classmethod
    def of(cls, move: registry.Move, longest_wait_seconds: float) -> MoveFacts:
        """As the registry has it, and the wait that the customer agrees to."""
        return cls(
            move.id,
            move.key,
            move.migration,
            move.account,
            move.login,
            move.from_server,
            move.to_server,
            move.direction,
            move.engine,
            move.epoch,
            longest_wait_seconds,
        )


@dataclass(frozen=True)
class Peer:
    """The server that a move, or a test, goes to: where it is, and by which keys the other one knows it."""

    address: str
    host_keys: list[str]


@dataclass(frozen=True)
class TestAsked:
    """What a run of `test_account` asks for."""

    account: str
    entry: str


@dataclass(frozen=True)
class TestFacts:
    """A test copy; `login` is what servers call its account, `only` is the engine whose databases alone are copied."""

    id: int
    key: str
    account: str
    login: str
    entry: str
    from_server: str
    to_server: str
    only: str | None
    epoch: int


@dataclass(frozen=True)
class TestResult:
    """What a customer is told first of their test: the names, until when, the verdict."""

    test: int
    blockers: int
    warnings: int
    names: dict[str, str]
    expires_at: str
    verdict: str
    sentence: str


@dataclass(frozen=True)
class FinishFacts:
    """What is to become of a shared server that is empty; `infrastructure` is empty where it is wiped."""

    server: str
    run_id: str
    then: str
    infrastructure: str
    because: str
    not_quiet_because: str

    @classmethod
    def of(cls, params: Mapping[str, Any], run_id: str) -> FinishFacts:
        """As the form says it; a field that was left empty is an empty text."""
        words = (params[name] or "" for name in ("then", "infrastructure", "because", "not_quiet_because"))
        return cls(params["server"], run_id, *words)


class NothingToDo(Exception):
    """A step is left out, and the message says why: what it was for was given up."""
