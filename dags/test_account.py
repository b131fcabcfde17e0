"""Test an account on the new version: a copy of it, for its customer to look at, and a report.

This is the customer's *Test* button. The original serves on, untouched; the copy sends no mail, runs no cron, is not
indexed and reaches nothing outside its server. Pressed again after a fix, it replaces the copy that is there.

## What it does
1. **check_account**: the account, the catalogue entry, and a test server of the new version with room for it.
   Refusals end here and change nothing.
2. **replace_old_test**: the copy of an earlier test is taken away; this test begins.
3. **open_path**: the test server holds test copies and nothing else; a key that only this test may use, from the
   account's server to it.
4. **duplicate**: copies everything once (or the databases of one engine, where the migration is that engine's). What
   the restore on the new version has to say is kept for the report; nothing goes on following.
5. **open_test**: sites, databases, SSH and IMAP of the copy are open, with the account's own credentials.
6. **name_test**: each site gets a name under the test domain.
7. **check_original**, **check_copy**: the catalogue's checks, on both sides: what is wrong today is not the new
   version's fault.
8. **look_at_pages**: the same pages of both, side by side.
9. **write_report**: findings, pages, what was copied, and the verdict: as JSON and as a page, and in the registry. From
   now on the test is *ready*, for as many days as `config/settings.toml` says.
10. **tell_result**: the names, until when, and the verdict in one sentence.
11. **close_path**: the key is taken away again, whatever happened. A test that did not get ready is taken away whole.

## How to resume
Clear the run: a test that was taken away begins anew. From a failed task on, what was done is found again: a copy that
still runs is attached to. Started again with the same run id, after Airflow's database was lost, it goes on from where
the registry and the two servers stand.

## By hand
* *check_account* says that no test server has room: let copies expire (`expire_tests` takes one away at once when it is
  given its number), or add a test server.
* *duplicate* failed: its sentence says which store. What the new version merely refuses does not fail it, that is in
  the report.
* A customer wants a test to stay longer: let them test again.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from airflow.sdk import chain, dag

from include import registry
from include.compatibility.report import Seen
from include.moves import path
from include.settings import read_settings
from include.testing import copies, names, reports
from transhumance_airflow import connections, forms
from transhumance_airflow.failures import tell_failure
from transhumance_airflow.operators import CopyOperation, refusing
from transhumance_airflow.taskflow import task

log = logging.getLogger(__name__)


@dag(
    dag_id="test_account",
    dag_display_name="Test one account on the new version",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=16,
    tags=["transhumance", "account"],
    default_args={
        "owner": "transhumance",
        "retries": 3,
        "retry_delay": timedelta(seconds=5),
        "on_failure_callback": tell_failure,
    },
    params={
        "account": forms.account(),
        "entry": forms.entry("The migration to test for, as the catalogue names it."),
        "requested_by": forms.requested_by(),
    },
)
def test_account() -> None:
    """Wiring; what each step does stands in `include.testing`."""

    @task(multiple_outputs=False)
    def check_account(params: dict[str, Any], run_id: str) -> dict[str, Any]:
        """Refuses with one sentence, or says what is to be tested."""
        with connections.registry_connection() as conn, refusing():
            connections.catalogue(conn)
            asked = params["account"], params["entry"], run_id, params["requested_by"]
            return copies.check(conn, *asked, connections.tests(conn).reach)

    @task(multiple_outputs=False)
    def replace_old_test(asked: dict[str, Any], params: dict[str, Any], run_id: str) -> dict[str, Any]:
        """Takes the earlier copy away and begins the test."""
        with connections.registry_connection() as conn:
            return copies.begin(conn, asked, run_id, params["requested_by"], connections.tests(conn))

    @task(multiple_outputs=False)
    def open_path(test: dict[str, Any]) -> dict[str, Any]:
        """The test server is inert, and ready to receive from the account's server."""
        with connections.registry_connection() as conn:
            place = connections.tests(conn)
            copies.make_inert(conn, test, place)
            both = registry.server(conn, test["from_server"]), registry.server(conn, test["to_server"])
            known = registry.account(conn, test["account"]).stated
            source, target = (place.reach(server.name) for server in both)
            return path.open_path(test, source, target, both, known, only=test["only"])

    @task(multiple_outputs=False)
    def open_test(test: dict[str, Any]) -> dict[str, str]:
        """The copy answers on its server; gives the test name of each site."""
        with connections.registry_connection() as conn:
            return copies.open_copy(conn, test, connections.tests(conn))

    @task
    def name_test(test: dict[str, Any], named: dict[str, str]) -> None:
        """The test names lead to the test server."""
        with connections.registry_connection() as conn, refusing():
            names.lead(conn, connections.tests(conn).zone, named.values(), test["to_server"])

    @task(multiple_outputs=False)
    def look_at_pages(test: dict[str, Any], named: dict[str, str]) -> dict[str, Any]:
        """The same pages of the original and of the copy."""
        with connections.registry_connection() as conn:
            return reports.pages(conn, test, named)

    @task(multiple_outputs=False)
    def write_report(
        test: dict[str, Any],
        duplicated: dict[str, Any],
        original: dict[str, Any],
        copy: dict[str, Any],
        pages: dict[str, Any],
    ) -> dict[str, Any]:
        """The report, into its files and the registry; the test is ready from now on."""
        with connections.registry_connection() as conn:
            expires_at = read_settings().test_expiry()
            seen = Seen(duplicated, original, copy, pages)
            return reports.write(conn, test, seen, expires_at, connections.reports_folder())

    @task(multiple_outputs=False)
    def tell_result(result: dict[str, Any]) -> dict[str, Any]:
        """Names, until when, and the verdict: in the log, and as what this run gives."""
        log.info("%s\nUntil %s: %s", result["sentence"], result["expires_at"], ", ".join(result["names"].values()))
        return result

    @task(multiple_outputs=False)
    def close_path(test: dict[str, Any]) -> str:
        """Takes the test's key off both servers, and a test that did not get ready away whole."""
        with connections.registry_connection() as conn:
            return copies.end(conn, test, connections.tests(conn))

    test = replace_old_test(check_account())
    peer = open_path(test)
    duplicated = CopyOperation(task_id="duplicate", verb="duplicate", on="from_server", test=test, peer=peer)
    named = open_test(test)
    original = CopyOperation(task_id="check_original", verb="check", on="from_server", test=test)
    copy = CopyOperation(task_id="check_copy", verb="check", on="to_server", test=test)
    pages = look_at_pages(test, named)
    reported = write_report(test, duplicated.output, original.output, copy.output, pages)
    closed = close_path(test)

    chain(peer, duplicated, named, name_test(test, named), [original, copy, pages], reported)
    reported >> [tell_result(reported), closed]
    # A teardown runs whatever failed between. Every end of the graph decides whether the run ended well.
    closed.as_teardown(setups=[test, peer], on_failure_fail_dagrun=True)


test_account()
