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

from datetime import timedelta
from typing import Any

from airflow.sdk import chain, dag

from include.agent.verbs.reports import Checked, Duplicated
from include.compatibility.report import Seen
from include.facts import Peer, TestAsked, TestFacts, TestResult
from include.settings import read_settings
from include.testing import copies, names, reports
from transhumance_airflow import connections, forms
from transhumance_airflow.operators.agent import CopyOperation
from transhumance_airflow.step import Registry, step


@dag(
    dag_id="test_account",
    dag_display_name="Test one account on the new version",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=16,
    tags=["transhumance", "account"],
    default_args={"owner": "transhumance", "retries": 3, "retry_delay": timedelta(seconds=5)},
    params={
        "account": forms.account(),
        "entry": forms.entry("The migration to test for, as the catalogue names it."),
        "requested_by": forms.requested_by(),
    },
)
def test_account() -> None:
    """Wiring; what each step does stands in `include.testing`."""

    @step(refusal_is_final=True)
    def check_account(conn: Registry, params: dict[str, Any], run_id: str) -> TestAsked:
        """Refuses with one sentence, or says what is to be tested."""
        reach = connections.tests(conn).reach
        return copies.check(conn, params["account"], params["entry"], run_id, params["requested_by"], reach)

    @step()
    def replace_old_test(conn: Registry, asked: TestAsked, params: dict[str, Any], run_id: str) -> TestFacts:
        """Takes the earlier copy away and begins the test."""
        return copies.begin(conn, asked, run_id, params["requested_by"], connections.tests(conn))

    @step()
    def open_path(conn: Registry, test: TestFacts) -> Peer:
        """The test server is inert, and ready to receive from the account's server."""
        return copies.open_path(conn, test, connections.tests(conn))

    @step()
    def open_test(conn: Registry, test: TestFacts) -> dict[str, str]:
        """The copy answers on its server; gives the test name of each site."""
        return copies.open_copy(conn, test, connections.tests(conn))

    @step(refusal_is_final=True)
    def name_test(conn: Registry, test: TestFacts, named: dict[str, str]) -> None:
        """The test names lead to the test server."""
        names.lead(conn, connections.tests(conn).zone, named.values(), test.to_server)

    @step()
    def look_at_pages(conn: Registry, test: TestFacts, named: dict[str, str]) -> dict[str, Any]:
        """The same pages of the original and of the copy."""
        return reports.pages(conn, test, named)

    @step()
    def write_report(
        conn: Registry,
        test: TestFacts,
        duplicated: Duplicated,
        original: Checked,
        copy: Checked,
        pages: dict[str, Any],
    ) -> TestResult:
        """The report, into its files and the registry; the test is ready from now on."""
        seen = Seen(duplicated, original, copy, pages)
        return reports.write(conn, test, seen, read_settings().test_expiry(), connections.reports_folder())

    @step()
    def tell_result(conn: Registry, result: TestResult) -> TestResult:
        """Names, until when, and the verdict: in the log, and as what this run gives."""
        return reports.tell(result)

    @step()
    def close_path(conn: Registry, test: TestFacts) -> str:
        """Takes the test's key off both servers, and a test that did not get ready away whole."""
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
