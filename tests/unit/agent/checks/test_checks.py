"""What the compatibility checks look for in texts, files and Python, and what they refuse; PHP needs a server."""

from __future__ import annotations

import ast
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from include.agent import protocol, verbs
from include.agent.checks import account, files, php, programs, zones
from include.agent.checks.findings import MAX_PLACES, Clock, Findings
from include.agent.checks.text import (
    MAX_DEFINITION,
    Definition,
    TooLong,
    addresses_in,
    as_read,
    in_time,
    match,
    uses_variable,
    whole_word,
    without_comments,
)
from include.agent.host.codec import decode, plain
from include.agent.host.system import Refused
from include.agent.verbs.reports import Checked, Finding, LookedAt

ADDRESSES = ("198.51.100.1", "2001:db8:100::1", "vps-1.host.example")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://198.51.100.1:8080/", ["198.51.100.1"]),
        ("Ask 198.51.100.1.", ["198.51.100.1"]),
        ("198.51.100.10 8.198.51.100.1 198.51.100.1.5 x198.51.100.1 198.51.100.1x", []),
        ("198x51.100.1", []),
        ("[2001:DB8:100::1]:80", ["2001:db8:100::1"]),
        ("2001:db8:100::12 1:2001:db8:100::1 2001:db8:100::1:2", []),
        ("vps-1.host.example; VPS-1.host.example/", ["vps-1.host.example"] * 2),
        ("my-vps-1.host.example vps-1.host.example.org vps-10.host.example a.vps-1.host.example", []),
    ],
)
def test_an_address_is_found_as_a_whole_word(text: str, expected: list[str]) -> None:
    assert [address for address, _ in addresses_in(text.encode(), ADDRESSES)] == expected
    # MariaDB is given the same pattern.
    assert sum(len(re.findall("(?i)" + whole_word(address), text)) for address in ADDRESSES) == len(expected)


@pytest.mark.parametrize(
    "sql",
    [
        "SET max_tmp_tables = 1",
        "set session max_tmp_tables=1",
        "SET GLOBAL `max_tmp_tables` := 2",
        "SET autocommit = 0, @@session.max_tmp_tables = 1",
        "SELECT @@max_tmp_tables",
        "BEGIN SELECT 1; SET max_tmp_tables = 1; END",
        "SHOW GLOBAL VARIABLES LIKE 'max_tmp_tables'",
    ],
)
def test_a_variable_is_used(sql: str) -> None:
    assert uses_variable(sql, "max_tmp_tables")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE t SET max_tmp_tables = 1",
        "SELECT max_tmp_tables FROM t",
        "SET @max_tmp_tables = 1",
        "SET max_tmp_tables_2 = 1",
        "SET other = max_tmp_tables",
        "SELECT @@max_tmp_tables_2",
        "reset max_tmp_tables = 1",
    ],
)
def test_a_name_that_only_looks_like_a_variable_is_none(sql: str) -> None:
    assert not uses_variable(sql, "max_tmp_tables")


def test_comments_are_left_out_and_texts_stay() -> None:
    sql = "SELECT 'a -- b', \"/* c */\" -- d\n, 1 /* e\n */ + 2 /*!50000 + f */ # g\n, 'it''s # h'"
    left = without_comments(sql, "mariadb")
    assert [letter for letter in "abcdefgh" if re.search(rf"\b{letter}\b", left)] == ["a", "b", "c", "f", "h"]
    assert "d" in without_comments("1 #d\n", "postgresql") and "d" not in without_comments("1 --d\n", "postgresql")
    assert without_comments("1--1", "mariadb") == "1--1"  # minus minus


def test_what_never_ends_goes_on_to_the_end() -> None:
    assert without_comments("1 /* a", "mariadb") == "1  "
    assert without_comments("1 'a -- b\nc", "mariadb") == "1 'a -- b\nc"
    assert without_comments("1 'a\\", "mariadb") == "1 'a\\"
    assert without_comments(" -- a", "mariadb") == "  "


@pytest.mark.parametrize(
    "piece",
    [
        "/* ",
        "'\\",
        '"\\',
        "'",
        '"',
        "'a",
        "''",
        "'\n",
        "`",
        "--",
        "-- ",
        "#",
        "/*!",
        "/*",
        "*/",
        "/*'",
        "\\",
        "set ",
        "set x,",
    ]
    + ["@@global", "@@global.", "show variables like ", "set" + " " * 100, "max_tmp_tables=", ",max_tmp_tables="]
    + ["set ,", ", ", ";set ", "set global ", "@@session . ", "198.51.100.", "198.51.100.1", "-198.51.100.1-", "1.1"]
    + [".198.51.100.1", "2001:db8:100::", ":1", "@/usr/", "/usr/a+", " /usr/a*", "php1.", "php", "1 "],
)
def test_no_text_makes_a_look_slow(piece: str) -> None:
    """Much of what a pattern likes least: seconds would be hours if any were quadratic."""
    text = piece * (1_000_000 // len(piece))
    began = time.process_time()
    for engine in ("mariadb", "postgresql"):
        without_comments(text, engine)
    uses_variable(text, "max_tmp_tables")
    list(addresses_in(text.encode(), ADDRESSES))
    zones.in_text(text, {})
    list(programs._missing(text.encode()))
    assert time.process_time() - began < 10


def test_definitions_are_looked_through_within_the_checks_own_time() -> None:
    found, clock = Findings(), Clock(0.5)
    slow = {"id": "x", "patterns": [{"pattern": r"(a+)+$", "what": "many"}]}
    began = time.monotonic()
    match([Definition(f"view v{number}", "a" * 60 + "b") for number in range(100)], slow, found, clock)
    assert time.monotonic() - began < 3
    assert found.left[-1] == "There was no time to look through 99 definitions."


def test_no_more_of_a_definition_is_looked_through_than_anybody_writes() -> None:
    found = Findings()
    assert len(as_read("view v", "a" * (MAX_DEFINITION + 1), "mariadb", "", found).text) == MAX_DEFINITION
    assert found.left == ["Of the view v only the first 1,000,000 characters were looked through."]


def test_a_pattern_ends_in_time_and_says_so() -> None:
    began = time.monotonic()
    with pytest.raises(TooLong), in_time(0.2):
        re.search(r"(a+)+$", "a" * 60 + "b")
    assert time.monotonic() - began < 2
    found = Findings()
    bad = {"id": "x", "patterns": [{"pattern": r"(a+)+$", "what": "many"}, {"pattern": "B", "what": "a b"}]}
    match([Definition("view v", "a" * 60 + "b")], bad, found, Clock(60))
    assert found.left == ["In the view v the search took too long for this: many."]
    assert found.rows() == [Finding(check="x", where="view v", what="a b", count=1)]


def test_places_are_bounded_and_their_counts_add_up() -> None:
    found = Findings()
    for number in range(MAX_PLACES + 50):
        found.add("x", f"file{number}\n", "calls it", line=number + 1)
    found.add("x", "file0\n", "calls it", line=70, count=3)
    rows = found.rows()
    assert len(rows) == MAX_PLACES + 1 and sum(row.count for row in rows) == MAX_PLACES + 53
    assert rows[0] == Finding(check="x", where="file0\\n:1", what="calls it", count=4)
    assert rows[-1] == Finding(check="x", where="further places", what="50 more", count=50)


def test_many_that_are_mild_do_not_hide_the_grave() -> None:
    found = Findings()
    for number in range(MAX_PLACES + 2):
        found.add("lint", f"{number}.php", "Deprecated: this", 1, group="Deprecated")
    found.add("lint", "z.php", "Parse error: that", 1, group="Parse error")
    told = [(row.where, row.what) for row in found.rows()[MAX_PLACES:]]
    assert told == [("further places", "Deprecated: 2 more"), ("z.php:1", "Parse error: that")]
    other = Findings()
    other.take(decode(Checked, plain(found.bounded(LookedAt(files=1))) | {"not_looked_at": ["left\n"]}))
    assert other.rows() == found.rows() and other.left == ["left\\n"]


def test_imports_that_may_fail_are_none() -> None:
    tree = ast.parse(
        "import cgi, os.path\nfrom imp import reload\nfrom . import smtpd\n"
        "try:\n    import distutils\nexcept ImportError:\n    import asyncore\n"
        "try:\n    import nntplib\nexcept KeyError:\n    pass\n"
        "def f():\n    import crypt\n"
    )
    assert sorted({name for name, _ in files.imports(tree)}) == [
        "asyncore",
        "cgi",
        "crypt",
        "imp",
        "imp.reload",
        "nntplib",
        "os.path",
    ]


def scan(home: Path, *asked: dict[str, Any], seconds: float = 60) -> files.Scan:
    """A home looked through, PHP aside."""
    one = files.Scan(str(home), list(asked), [*ADDRESSES], Clock(seconds))
    one.run()
    return one


ADDRESS = {"id": "address", "kind": "old_addresses"}


def test_files_are_looked_at_but_links_mail_and_others_packages_are_not(tmp_path: Path) -> None:
    text, home = "at 198.51.100.1", tmp_path / "home"
    outside = tmp_path / "secret.txt"
    for path in ("a.conf", ".env", "deep/er/b.txt", "node_modules/x.js", "mail/cur/m", "new.log", ".git/config"):
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text(f"one\n{text}\n{text}")
    for name in ("mail/new", "mail/tmp"):
        (home / name).mkdir()
    outside.write_text(text)
    (home / "link.txt").symlink_to(outside)
    (home / "linked").symlink_to(tmp_path)
    (home / "image.png").write_bytes(b"\x89PNG\0" + text.encode())
    os.mkfifo(home / "pipe")
    with open(os.fsencode(home) + b"/odd\n\xff.txt", "w") as file:
        file.write(text)
    found = scan(home, ADDRESS).findings
    assert {(row.where, row.count) for row in found.rows()} == {
        ("a.conf:2", 2),
        (".env:2", 2),
        ("deep/er/b.txt:2", 2),
        ("odd\\n\\xff.txt:1", 1),
    }
    assert found.left == []


def test_a_crowd_of_files_and_large_ones_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text("198.51.100.1")
    (tmp_path / "0.php").write_bytes(b"<?php " + b" " * files._MAX_BYTES)
    assert "2 MB" in scan(tmp_path, ADDRESS).findings.left[0] and "0.php" in scan(tmp_path, ADDRESS).findings.left[0]
    monkeypatch.setattr(files, "_MAX_FILES", 3)
    one = scan(tmp_path, ADDRESS)
    assert one.files == 3 and "more than 3 files" in one.findings.left[0]
    assert "time for 0 files" in scan(tmp_path, ADDRESS, seconds=0).findings.left[0]


def test_settings_requirements_and_virtualenvs(tmp_path: Path) -> None:
    (tmp_path / ".htaccess").write_text("RewriteEngine on\n# php_value safe_mode 1\n  PHP_Flag Safe_Mode Off\n")
    (tmp_path / ".user.ini").write_text("; safe_mode = 1\n[x]\nsafe_mode=1\nsafe_mode_dir=2\n")
    (tmp_path / "composer.json").write_text('{"require": {"ext-IMAP": "*"}}')
    (tmp_path / "b").mkdir()
    (tmp_path / "b/composer.json").write_text('{"require": ["ext-imap"')
    for name, home, version in (
        ("gone", "/usr/bin", "3.1.2"),
        ("own", str(tmp_path), "3.9"),
        ("opt", "/opt/py", "3.9"),
    ):
        (tmp_path / name / "lib").mkdir(parents=True)
        (tmp_path / name / "lib/x.py").write_text("import imp")
        (tmp_path / name / "pyvenv.cfg").write_text(f"home = {home}\nversion = {version}\n")
    (tmp_path / "python3.9").touch()
    (tmp_path / ".local/lib/python3.1/site-packages/x").mkdir(parents=True)
    (tmp_path / ".local/lib/python3.1/site-packages/x/y.py").write_text("import imp")
    found = scan(
        tmp_path,
        {"id": "ini", "kind": "php_settings", "settings": ["safe_mode"]},
        {"id": "imap", "kind": "php_extensions", "extensions": ["imap"]},
        {"id": "venv", "kind": "virtualenvs"},
        {"id": "python", "kind": "python_modules", "modules": ["imp"]},
    ).findings
    assert {(row.check, row.where) for row in found.rows()} == {
        ("ini", ".htaccess:3"),
        ("ini", ".user.ini:3"),
        ("imap", "composer.json"),
        ("venv", "gone/pyvenv.cfg"),
        ("venv", ".local/lib/python3.1/site-packages"),
    }
    assert len(found.left) == 1 and "/opt/py" in found.left[0]


def test_python_that_brings_its_own_module_or_does_not_parse(tmp_path: Path) -> None:
    (tmp_path / "with").mkdir()
    (tmp_path / "with/imp.py").write_text("")
    (tmp_path / "with/run.py").write_text("import imp")
    (tmp_path / "run").write_text("#!/usr/bin/env python3\nimport imp.x\n")
    (tmp_path / "old.py").write_text("\nprint 'x'\n")
    (tmp_path / "deep.py").write_text("(" * 5000)
    (tmp_path / "nul.py").write_bytes(b"import imp\0")
    rows = scan(tmp_path, {"id": "p", "kind": "python_modules", "modules": ["imp"]}).findings.rows()
    assert {row.where for row in rows if row.what == "imports imp"} == {"run:2"}
    assert "old.py:2" in {row.where for row in rows if "is no Python" in row.what}


def test_php_that_fails_at_a_file_costs_that_file_only(tmp_path: Path) -> None:
    """In place of PHP stands a program that dies at a file: it takes the same input and puts out the same lines."""
    program = tmp_path / "php"
    facts: dict[str, list[object]] = {
        kind: []
        for kind in (
            "calls",
            "classes",
            "constants",
            "declared",
            "guards",
            "loaded",
            "settings",
            "strings",
            "replaced",
            "zones",
        )
    }
    program.write_text(
        "#!/usr/bin/env python3\nimport json, sys\n"
        "sys.stdin.readline()\n"
        "for path in sys.stdin.read().split('\\0')[:-1]:\n"
        "    if path == 'deadly':\n        print('Fatal error'); sys.exit(255)\n"
        f"    print(json.dumps({facts!r} | {{'calls': [['f', 3, '']]}}), flush=True)\n"
    )
    program.chmod(0o755)
    checks_asked = [{"kind": "php_functions", "functions": ["f"]}]
    uses, unread = php.uses_of(str(program), [b"a", b"deadly", b"b"], checks_asked, Clock(20))
    assert [path for path, *_ in uses.foreign()] == [b"a", b"b"]
    assert (unread.failed, unread.late) == ([b"deadly"], [])
    _, late = php.uses_of(str(program), [b"a"], checks_asked, Clock(0))
    assert late.late == [b"a"]


def test_the_catalogues_kinds_are_those_of_the_agent() -> None:
    catalogue = pytest.importorskip("include.catalogue.checks")
    arguments = {name: {*kind.arguments} for name, kind in catalogue.KINDS.items()}
    assert arguments == {name: {*kind.arguments, *kind.either} for name, kind in account.KINDS.items()}


@pytest.mark.parametrize(
    "asked",
    [
        {"id": "x"},
        {"id": "x", "kind": ["php_lint"]},
        {"id": 3, "kind": "php_lint"},
        {"id": "x", "kind": "php_functions", "functions": [1]},
        {"id": "x", "kind": "sql_text", "engine": "oracle", "patterns": []},
        {"id": "x", "kind": "sql_text", "engine": "mariadb", "patterns": [{"pattern": "a"}]},
        {"id": "x", "kind": "mariadb_charset", "charsets": []},
    ],
)
def test_a_check_that_is_none_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        account._checked(asked)


def test_check_is_a_long_verb() -> None:
    assert verbs.Check in dict(protocol.LONG_VERBS)
