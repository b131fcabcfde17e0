"""What a test is asked to look at, and the report that its looks make: as JSON, as a page, and in the registry."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from include import catalogue, registry, report_files
from include.agent.account.engines import DECLARED
from include.catalogue import Entry
from include.compatibility import Site, build, compare_pages, counts, report_page
from include.compatibility.report import Seen
from include.facts import TestFacts, TestResult
from include.memory import little_memory
from include.registry.states import TestState
from include.testing.copies import sites_of

log = logging.getLogger(__name__)


def entry_of(test: TestFacts) -> Entry:
    """The test's entry, as its file says it."""
    entries = catalogue.load()
    if test.entry not in entries:
        raise registry.RegistryRefused(
            f"The catalogue has no file for {test.entry}: restore it, or test for another entry."
        )
    return entries[test.entry]


SIDES = {"from_server": "original", "to_server": "copy"}


def checks(conn: psycopg.Connection, test: TestFacts, on: str) -> dict[str, Any]:
    """What the agent's `check` is asked for on one of the two servers: the catalogue's checks, of which it runs those
    of its side, and the addresses that the account leaves."""
    old = [ip.address for ip in registry.ips_of(conn, test.from_server)]
    return {"side": SIDES[on], "checks": entry_of(test).checks(), "old_addresses": old}


def pages(conn: psycopg.Connection, test: TestFacts, names: dict[str, str]) -> dict[str, Any]:
    """The same pages of both sides, as `compare_pages` of `include.compatibility` gives them; none without a site."""
    old, new = (str(registry.server(conn, name).management_address) for name in (test.from_server, test.to_server))
    sites = [
        Site(site["domain"], names[site["domain"]], old, new, tuple(site.get("aliases", ())), site.get("app"))
        for site in sites_of(conn, test)
        if site["domain"] in names
    ]
    with little_memory():
        return compare_pages(sites)


def write(conn: psycopg.Connection, test: TestFacts, seen: Seen, expires_at: datetime, folder: Path) -> TestResult:
    """Writes `test-<id>.json` and `.html` to `folder`, keeps the report in the registry, and lets the test be ready.
    Gives what its customer is told first: names, until when, the verdict. A repeated call replaces all of it."""
    record = registry.test(conn, test.id)
    report = build(
        entry_of(test),
        test.account,
        seen,
        names=record.names,
        databases=_databases(conn, test),
        tested_at=datetime.now(UTC),
        expires_at=expires_at,
    )
    report_files.put(folder, f"test-{test.id}.json", json.dumps(report, indent=1) + "\n")
    report_files.put(folder, f"test-{test.id}.html", report_page(report))
    blockers, warnings = counts(report)
    registry.record_test_report(conn, test.id, report, blockers, warnings)
    registry.advance_test(conn, test.id, TestState.READY, expires_at=expires_at)
    keys = ("names", "expires_at", "verdict", "sentence")
    return TestResult(test.id, blockers, warnings, *(report[key] for key in keys))


def tell(result: TestResult) -> TestResult:
    """Names, until when, and the verdict: in the log, and as what is given."""
    log.info("%s\nUntil %s: %s", result.sentence, result.expires_at, ", ".join(result.names.values()))
    return result


def _databases(conn: psycopg.Connection, test: TestFacts) -> list[str]:
    """The databases that were copied, by engine."""
    description = registry.account(conn, test.account).description or {}
    return [
        f"{engine.title} {database['name']}"
        for engine in DECLARED
        if test.only in (None, engine.name)
        for database in (description.get(engine.name) or {}).get("databases", ())
    ]
