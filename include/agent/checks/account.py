"""The verb `check`: what in an account will not work, or works otherwise, on the new version.

What is looked for comes from the catalogue: each check has an id, a kind and what that kind wants to be told. A kind
runs on one side. On the *copy*, on the new server, PHP and Python are those that will run the account, and reading rows
burdens nobody. On the *original* stands what the new version may not have taken over at all.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from .. import verbs
from ..account.accounts import Account, load, state_of
from ..host.operations import Report
from ..host.system import refuse
from ..move import identity
from ..verbs.reports import Checked, LookedAt
from . import files, mariadb, php, postgresql
from .findings import Clock, Findings

SECONDS = 600.0
"""What a check may take in all; what there was no time for is told."""
COPY, ORIGINAL = "copy", "original"
FILES, MARIADB, POSTGRESQL = "files", "mariadb", "postgresql"
_STATES = ("serving", "receiving", "test")


@dataclass(frozen=True)
class Kind:
    """Where a kind runs, what it reads, and its arguments; of `either` one or more must be given."""

    side: str
    reads: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    either: tuple[str, ...] = ()


KINDS = {
    "php_lint": Kind(COPY, (FILES,)),
    "php_functions": Kind(COPY, (FILES,), ("functions",)),
    "php_extensions": Kind(COPY, (FILES,), ("extensions",)),
    "php_settings": Kind(COPY, (FILES,), ("settings",)),
    "php_declares": Kind(COPY, (FILES,), either=("functions", "classes")),
    "php_time_zones": Kind(COPY, (FILES,)),
    "programs": Kind(COPY, (FILES,)),
    "virtualenvs": Kind(COPY, (FILES,)),
    "python_modules": Kind(COPY, (FILES,), ("modules",)),
    "old_addresses": Kind(COPY, (FILES, MARIADB, POSTGRESQL)),
    "sql_text": Kind(ORIGINAL, (MARIADB, POSTGRESQL), ("engine", "patterns")),
    "mariadb_variables": Kind(ORIGINAL, (FILES, MARIADB), ("variables",)),
    "mariadb_names": Kind(ORIGINAL, (MARIADB,), ("words",)),
    "mariadb_functions": Kind(ORIGINAL, (MARIADB,), ("words",)),
    "mariadb_sql_mode": Kind(ORIGINAL, (MARIADB,)),
    "mariadb_snapshot_isolation": Kind(ORIGINAL, (MARIADB,)),
    "mariadb_charset": Kind(ORIGINAL, (MARIADB,), either=("charsets", "collations")),
    "postgresql_extensions": Kind(ORIGINAL, (POSTGRESQL,), ("removed",)),
    "postgresql_types": Kind(ORIGINAL, (POSTGRESQL,), ("types",)),
    "postgresql_settings": Kind(ORIGINAL, (POSTGRESQL,), ("settings",)),
    "postgresql_collations": Kind(ORIGINAL, (POSTGRESQL,)),
    "postgresql_time_zones": Kind(COPY, (POSTGRESQL,)),
}


def check(want: verbs.Check, report: Report) -> Checked:
    """Of checks, each {"id", "kind", ...}, those whose kind runs on this side; of the original also what its PHP has.
    It only reads."""
    began = time.monotonic()
    account = load(want.account)
    state = state_of(account.name).state
    if state not in _STATES:
        refuse("wrong_state", f"The account {account.name} is {state} here: check it where it serves, or its copy.")
    wanted = [asked for asked in map(_checked, want.checks) if KINDS[asked["kind"]].side == want.side]
    addresses = [_text(address, "An old address") for address in want.old_addresses]
    findings, clock = Findings(), Clock(SECONDS)
    looked_at = _look(account, wanted, addresses, findings, clock, report)
    return Checked(
        findings=findings.rows(),
        looked_at=replace(looked_at, seconds=round(time.monotonic() - began, 1)),
        not_looked_at=findings.left,
        php_extensions=php.extensions() if want.side == ORIGINAL else None,
    )


def _look(
    account: Account,
    checks: list[dict[str, Any]],
    addresses: list[str],
    findings: Findings,
    clock: Clock,
    report: Report,
) -> LookedAt:
    """Each store once, for all checks that read it."""
    tables = 0
    for store, look in ((POSTGRESQL, postgresql.look), (MARIADB, mariadb.look)):
        report(step=store)
        if reading := [check for check in checks if store in KINDS[check["kind"]].reads]:
            tables += look(account, reading, addresses, findings, clock)
    report(step=FILES)
    if reading := [check for check in checks if FILES in KINDS[check["kind"]].reads]:
        crontab = identity.read(account)["crontab"] or ""
        return replace(files.look(account, reading, addresses, crontab, findings, clock), tables=tables)
    return LookedAt(tables=tables)


# --- what was asked for ---


def _checked(asked: Any) -> dict[str, Any]:
    """A check as it was asked for, or a refusal."""
    if not isinstance(asked, dict) or not isinstance(asked.get("kind"), str) or asked["kind"] not in KINDS:
        refuse("bad_args", f"{asked!r:.100} is no check; its kind must be one of {', '.join(KINDS)}.")
    kind = KINDS[asked["kind"]]
    _text(asked.get("id"), "The id of a check")
    for name in kind.arguments:
        if name == "engine":
            if asked.get(name) not in (MARIADB, POSTGRESQL):
                refuse("bad_args", f"The engine of check {asked['id']} must be {MARIADB} or {POSTGRESQL}.")
        elif name == "patterns":
            for pattern in _list(asked, name):
                if not isinstance(pattern, dict):
                    refuse("bad_args", f"A pattern of check {asked['id']} must be an object.")
                _text(pattern.get("pattern"), "A pattern")
                _text(pattern.get("what"), "What a pattern finds")
        else:
            _texts(asked, name)
    if kind.either and not any(_texts(asked, name) for name in kind.either if name in asked):
        refuse("bad_args", f"The check {asked['id']} needs {' or '.join(kind.either)}.")
    return asked


def _list(args: dict[str, Any], name: str) -> list[Any]:
    value = args.get(name, [])
    if not isinstance(value, list):
        refuse("bad_args", f"{name} must be a list, not {value!r:.60}.")
    return value


def _texts(args: dict[str, Any], name: str) -> list[str]:
    return [_text(item, f"Each of the {name}") for item in _list(args, name)]


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value or not value.isprintable() or len(value) > 2000:
        refuse("bad_args", f"{name} must be text, not {value!r:.60}.")
    return value
