"""The compatibility checks on real accounts: one with code for old versions, and a WordPress without any."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import pytest

from include import catalogue
from include.agent import verbs
from include.agent.verbs.reports import Checked
from include.hosts import AgentError
from lab.accounts import Server, fill
from lab.accounts.wordpress import archive
from lab.demo.stage import executor
from tests.lab.agents import Move, Side, measured, side
from tests.lab.handles import Lab

ENTRY = catalogue.load()["infrastructure-2026"]
CHECKS: list[dict[str, Any]] = [
    {"id": "lint", "kind": "php_lint"},
    {"id": "functions", "kind": "php_functions", "functions": ["each", "create_function", "money_format", "strptime"]},
    {"id": "imap", "kind": "php_extensions", "extensions": ["imap", "pspell", "oci8", "pdo_oci"]},
    {"id": "ini", "kind": "php_settings", "settings": ["session.sid_length", "register_globals", "assert.active"]},
    {"id": "venv", "kind": "virtualenvs"},
    {"id": "python", "kind": "python_modules", "modules": ["distutils", "imp", "asyncore", "cgi"]},
    {"id": "address", "kind": "old_addresses"},
    {
        "id": "text",
        "kind": "sql_text",
        "engine": "postgresql",
        "patterns": [
            {"pattern": r"\bpg_file_rename\s*\(", "what": "a function of adminpack"},
            {"pattern": r"create\s+or\s+replace\s+function\s+public\.keep_log\b", "what": "its own statement"},
        ],
    },
    {"id": "variables", "kind": "mariadb_variables", "variables": ["max_tmp_tables", "tx_isolation", "date_format"]},
    {"id": "names", "kind": "mariadb_names", "words": ["vector", "conversion"]},
    {"id": "mode", "kind": "mariadb_sql_mode"},
    {"id": "charset", "kind": "mariadb_charset", "charsets": ["utf8mb3"], "collations": ["utf8mb3_swedish_ci"]},
    {"id": "extension", "kind": "postgresql_extensions", "removed": ["adminpack", "old_snapshot"]},
    {"id": "types", "kind": "postgresql_types", "types": ["money"]},
    {"id": "settings", "kind": "postgresql_settings", "settings": ["force_parallel_mode"]},
    {"id": "collations", "kind": "postgresql_collations"},
]


@pytest.fixture(scope="module")
def sides(lab: Lab) -> Iterator[tuple[Side, Side]]:
    """The old infrastructure with both accounts, and the new one with copies of them."""
    with lab.fresh("2022", "2026") as machines:
        old, new = (side(lab, machine) for machine in machines)
        for one in (old, new):
            one.host.call(verbs.AcceptIps(ips=list(lab.server(one.name).ips)))
        yield old, new


@pytest.fixture(scope="module")
def filled(lab: Lab, sides: tuple[Side, Side]) -> dict[str, dict[str, Any]]:
    """Both accounts' files."""
    old, _ = sides
    lab.at_home(archive)  # from the network, which the operators' namespace does not reach

    def one(name: str) -> dict[str, Any]:
        server = Server(executor(old.name), lambda account_file: old.host.call(verbs.Create(account_file=account_file)))
        return fill(name, server).account_file

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(("legacy", "blog"), pool.map(one, ("legacy", "blog")), strict=True))


@pytest.fixture(scope="module")
def found(lab: Lab, sides: tuple[Side, Side], filled: dict[str, dict[str, Any]]) -> dict[tuple[str, str], Checked]:
    """What `check` says of (account, side)."""
    old, new = sides
    addresses = list(lab.server(old.name).ips)

    # What customers meet, on an account without any of it; everything that can be asked, on the other.
    checks = {"legacy": CHECKS, "blog": ENTRY.checks()}

    def check(one: Side, account: str, where: Literal["original", "copy"]) -> Checked:
        asked = verbs.Check(account=account, side=where, checks=checks[account], old_addresses=addresses)
        return one.host.run(f"check-{account}-{where}", asked, poll=0.2)

    results = {(name, "original"): check(old, name, "original") for name in filled}
    # What the new version refuses would stop a move (a test's copy only tells it).
    old.root("mariadb", "-e", "DROP PROCEDURE legacy_shop.prepare_report")
    as_postgres = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "psql", "-X", "legacy_stats")
    old.root(*as_postgres, "-c", "DROP EXTENSION adminpack", "-c", "DROP FUNCTION keep_nothing()")
    old.root(*as_postgres, "-c", "ALTER ROLE legacy IN DATABASE legacy_stats RESET ALL")
    for number, (name, statement) in enumerate(filled.items()):
        Move(f"check{number}", 2, statement, old, new).prepare()
        assert new.state(name) == "receiving"
        results[name, "copy"] = check(new, name, "copy")
    return results


def places(result: Checked) -> dict[str, set[tuple[str, str, int]]]:
    """{check: {(where, what, count)}}"""
    told: dict[str, set[tuple[str, str, int]]] = {}
    for row in result.findings:
        told.setdefault(row.check, set()).add((row.where, row.what, row.count))
    return told


def test_the_new_server_finds_what_old_code_needs_and_nothing_else(
    lab: Lab, sides: tuple[Side, Side], found: dict[tuple[str, str], Checked]
) -> None:
    result = found["legacy", "copy"]
    address, _ = lab.server(sides[0].name).ips
    mailbox, database = "public_html/lib/mailbox.php", "database legacy_"
    lint = {(where, what.partition(":")[0], n) for where, what, n in places(result)["lint"]}
    assert lint == {
        ("public_html/lib/ancient.php:5", "Parse error", 1),
        ("public_html/lib/text.php:4", "Deprecated", 1),
    }
    named = f"names the old address {address}"
    told = {check: rows for check, rows in places(result).items() if check != "lint"}
    assert told == {
        "functions": {(f"{mailbox}:8", "calls each()", 1)},
        "imap": {
            (f"{mailbox}:5", "calls imap_open() of the extension imap", 1),
            (f"{mailbox}:7", "calls imap_search() of the extension imap", 1),
            (f"{mailbox}:8", "calls imap_fetch_overview() of the extension imap", 1),
            (f"{mailbox}:11", "calls imap_close() of the extension imap", 1),
            (f"{mailbox}:14", "requires the extension pspell", 1),
            ("public_html/composer.json", "requires the extension imap", 1),
        },
        "ini": {
            ("public_html/.htaccess:2", "sets or reads register_globals", 1),
            ("public_html/.user.ini:2", "sets or reads session.sid_length", 1),
            ("public_html/lib/sql.php:8", "sets or reads session.sid_length", 1),
        },
        "venv": {
            ("venv/pyvenv.cfg", "a virtualenv made by Python 3.11, which the new server does not have", 1),
        },
        "python": {
            ("bin/report.py:5", "imports distutils", 1),
            ("bin/rotate:4", "is no Python 3.13: Missing parentheses in call to 'print'. Did you mean print(...)?", 1),
        },
        "address": {
            ("crontab:1", named, 1),
            ("public_html/lib/settings.php:6", named, 1),
            (f"{database}shop, table settings, column value", named, 1),
            (f"{database}stats, table pages, column host", named, 1),
            (f"{database}stats, table pages, column notes", named, 1),
        },
    }
    looked_at = measured(result.looked_at)
    assert looked_at.php_files == 8 and looked_at.tables > 3
    assert result.not_looked_at == []


def test_the_old_server_finds_what_its_databases_hold(found: dict[tuple[str, str], Checked]) -> None:
    result = found["legacy", "original"]
    shop, stats = "database legacy_shop", "database legacy_stats"
    assert places(result) == {
        "text": {
            (f"{stats}, routine keep_log", "a function of adminpack", 1),
            (f"{stats}, routine keep_log", "its own statement", 1),
        },
        "variables": {
            (f"{shop}, procedure prepare_report", "uses the variable max_tmp_tables", 1),
            ("public_html/lib/sql.php:4", "uses the variable max_tmp_tables", 1),
            ("public_html/lib/sql.php:5", "uses the variable tx_isolation", 1),
        },
        "names": {(f"{shop}, table articles, column vector", "is named vector", 1)},
        "charset": {
            (f"{shop}, table old_orders", "has the character set utf8mb3", 1),
            (f"{shop}, table old_orders", "has the collation utf8mb3_swedish_ci", 1),
            (f"{shop}, table old_orders, column note", "has the character set utf8mb3", 1),
            (f"{shop}, table old_orders, column note", "has the collation utf8mb3_swedish_ci", 1),
        },
        "extension": {(f"{stats}, extension adminpack", "has the extension adminpack", 1)},
        "types": {
            (f"{stats}, table prices, column price", "is of the type money", 1),
            (f"{stats}, table prices, column former", "is of the type money", 1),
        },
        "settings": {
            (f"{stats}, role legacy", "sets force_parallel_mode", 1),
            (f"{stats}, routine keep_nothing", "sets force_parallel_mode", 1),
        },
    }
    assert result.not_looked_at == []


def test_a_wordpress_has_nothing_to_fear(found: dict[tuple[str, str], Checked]) -> None:
    """No blocker and no warning. What it calls that is going to go is a note; Deprecated is no error of PHP's."""
    notes = {one.id for one in ENTRY.incompatibilities if one.severity == "note"}
    result = found["blog", "copy"]
    for row in found["blog", "original"].findings + result.findings:
        assert row.check in notes or row.what.startswith("Deprecated: "), row
    assert ("php-deprecated-functions", "calls mysqli_ping()") in {(r.check, r.what) for r in result.findings}
    assert measured(result.looked_at).php_files > 500 and result.not_looked_at == []


def test_a_side_that_is_none_is_refused(sides: tuple[Side, Side], filled: dict[str, dict[str, Any]]) -> None:
    old, _ = sides
    with pytest.raises(AgentError, match="side: one of copy, original was expected"):
        old.host.run("wrong", verbs.Check(account="blog", side="both"), poll=0.1)  # type: ignore[arg-type]


def test_nothing_of_a_customers_is_run_and_root_reads_none_of_it(
    sides: tuple[Side, Side], found: dict[tuple[str, str], Checked]
) -> None:
    _, new = sides
    site = "/home/legacy/public_html"
    new.root("tee", f"{site}/trap.php", stdin=b"<?php touch('/home/legacy/ran'); touch('/tmp/ran'); imap_open('x');")
    new.root("tee", f"{site}/trap.py", stdin=b"open('/home/legacy/ran', 'w')\nimport asyncore\n")
    new.root("tee", f"{site}/roots.php", stdin=b"<?php imap_open('root only');")
    new.root("chmod", "600", f"{site}/roots.php")
    new.root("ln", "-s", "/etc/shadow", f"{site}/shadow.php")
    new.root("ln", "-s", "/etc", f"{site}/etc")
    asked = verbs.Check(account="legacy", side="copy", checks=CHECKS, old_addresses=["root"])
    result = new.host.run("check-trapped", asked, poll=0.2)
    told = {row.where for row in result.findings}
    assert {"public_html/trap.php:1", "public_html/trap.py:2"} <= told
    assert not [where for where in told if "shadow" in where or "roots" in where or "/etc/" in where]
    assert result.not_looked_at == ["What cannot be read by the account was not looked at: public_html/roots.php."]
    assert new.root("sh", "-c", "ls -d /home/legacy/ran /tmp/ran; true") == ""
