"""The report of a test: how grave each thing is, the sentence for the customer, and a page that nothing in it can break
out of."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.agent.verbs.reports import Checked
from include.catalogue import load
from include.compatibility import counts, report_page
from include.compatibility.report import MAX_PLACES, Seen
from tests.support.compatibility import WHEN, a_page, report_of, row, said, seen


def found(report: dict[str, Any]) -> dict[str, str]:
    return {one["id"]: one["severity"] for one in report["findings"]}


def test_nothing_found_is_ready() -> None:
    report = report_of(seen(pages=(a_page(),)))
    assert (report["verdict"], counts(report)) == ("ready", (0, 0))
    assert report["sentence"] == ("shop can move to Infrastructure 2026: we found nothing that stands in the way.")
    assert report["copied"] == {"files": 2, "bytes": 1_500_000, "databases": ["shop_a", "shop_b"]}
    assert report["not_looked_at"] == [
        "The database late.",
        "Files above 2 MB.",
        "https://shop.example/late",
    ]
    assert report["unchecked"] == [{"title": "Title of untold", "explanation": "What it is.", "fix": "What to do."}]
    assert (report["from"], report["to"], report["tested_at"]) == ("2022", "2026", "2026-11-25T22:44:00+00:00")


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        (seen(said=(said("error"),)), {"restore-errors": "blocker"}),
        (seen(said=(said("warning"),)), {"restore-warnings": "warning"}),
        (
            seen(missing=({"store": "mariadb", "database": "shop", "object": "view v"},)),
            {"restore-missing": "blocker"},
        ),
        (seen(left=("Sockets are not copied.",)), {"left": "note"}),
        (
            seen(waits=({"store": "mariadb", "database": "shop", "message": "Copying it took 9.0 s."},)),
            {"copied-while-visitors-wait": "warning"},
        ),
        (seen(copy=(row("lint", "Parse error: no"),)), {"lint": "warning"}),
        (seen(copy=(row("lint", "Deprecated: soon"),)), {"lint-deprecated": "note"}),
        (seen(copy=(row("gone"), row("going"))), {"gone": "blocker", "going": "note"}),
        (seen(pages=(a_page(status=[200, 500]),)), {"pages-broken": "blocker"}),
        (seen(pages=(a_page(status=[200, 503], likeness=0.0),)), {"pages-broken": "blocker"}),
        (seen(pages=(a_page(status=[200, None], likeness=0.0),)), {"pages-broken": "blocker"}),
        (seen(pages=(a_page(status=[200, 404], likeness=0.1),)), {"pages-status": "warning"}),
        (seen(pages=(a_page(status=[500, 500]),)), {}),
        (seen(pages=(a_page(status=[500, 502]),)), {}),
        (seen(pages=(a_page(php_errors=["Fatal error: Uncaught x in a on line 1"]),)), {"pages-broken": "blocker"}),
        (seen(pages=(a_page(php_errors=["Deprecated: x in a on line 1"]),)), {"pages-php": "warning"}),
        (seen(pages=(a_page(likeness=0.59),)), {"pages-unlike": "warning"}),
        (seen(pages=(a_page(likeness=0.6),)), {}),
        (seen(pages=(a_page(seconds=[0.3, 1.1]),)), {"pages-slow": "note"}),
        (seen(pages=(a_page(seconds=[0.1, 0.9]),)), {}),
        (seen(pages=(a_page(seconds=[0.5, 1.4]),)), {}),
        (seen(copy=(row("of-another-catalogue"),)), {}),
    ],
)
def test_how_grave_each_thing_is(looks: Seen, expected: dict[str, str]) -> None:
    report = report_of(looks)
    assert found(report) == expected
    severities = set(expected.values())
    assert report["verdict"] == (
        "blocked" if "blocker" in severities else "warnings" if "warning" in severities else "ready"
    )


def test_each_side_tells_what_was_looked_for_there() -> None:
    """The agent looks for definitions in the original and for files in the copy; both are the new version's doing."""
    looks = seen(original=(row("gone", "has it", "database shop"),), copy=(row("going"),))
    assert found(report_of(looks)) == {"gone": "blocker", "going": "note"}


def test_an_object_that_was_refused_is_told_once() -> None:
    gone = {"store": "postgresql", "database": "shop", "object": "function f()"}
    report = report_of(seen(said=(said("error"),), missing=(gone, {**gone, "object": "view v"})))
    errors, missing = report["findings"]
    assert errors["places"] == ["PostgreSQL shop, function f(): No."]
    assert missing["places"] == ["PostgreSQL shop, view v"]


def test_what_is_copied_while_visitors_wait_is_told_beforehand() -> None:
    message = "Copying it took 9.0 s. Let the administrator write log_bin under [mysqld]."
    report = report_of(seen(waits=({"store": "mariadb", "database": "shop", "message": message},)))
    assert report["findings"][0]["places"] == [f"MariaDB shop: {message}"]
    assert report["sentence"] == "shop can move to Infrastructure 2026; one thing wants a look first."


def test_sentences_say_what_to_do() -> None:
    blocked = report_of(seen(said=(said("error"),), copy=(row("gone"),)))["sentence"]
    assert blocked == (
        "shop cannot move to Infrastructure 2026 yet (Parts of your databases that the new version refuses,"
        " and 1 more): mend this and test again."
    )
    assert report_of(seen(copy=(row("lint"),)))["sentence"] == (
        "shop can move to Infrastructure 2026; one thing wants a look first."
    )
    assert "2 things want a look" in report_of(seen(copy=(row("lint"), row("modules"))))["sentence"]


@given(
    severities=st.lists(st.sampled_from(["gone", "lint", "going", "modules"]), max_size=30),
    statuses=st.lists(st.tuples(st.sampled_from([200, 404, 500]), st.sampled_from([200, 404, 500, None])), max_size=8),
)
def test_the_gravest_decides_and_stands_first(severities: list[str], statuses: list[tuple[int, int | None]]) -> None:
    looks = seen(
        copy=tuple(row(check, where=f"{number}.php") for number, check in enumerate(severities)),
        pages=tuple(a_page(url=f"https://shop.example/{n}", status=list(both)) for n, both in enumerate(statuses)),
    )
    report = report_of(looks)
    order = [("blocker", "warning", "note").index(one["severity"]) for one in report["findings"]]
    assert order == sorted(order)
    blockers, warnings = counts(report)
    assert report["verdict"] == ("blocked" if blockers else "warnings" if warnings else "ready")
    assert (blockers > 0) == ("gone" in severities or any(o == 200 and n in (500, None) for o, n in statuses))
    told = {one["id"]: one["count"] for one in report["findings"]}
    assert all(told.get(check, 0) == severities.count(check) for check in ("gone", "lint", "going", "modules"))


def test_places_are_bounded_and_all_are_counted() -> None:
    rows = [row("lint", where=f"{number}.php", count=3) for number in range(MAX_PLACES + 50)]
    one = report_of(seen(copy=tuple(rows)))["findings"][0]
    assert len(one["places"]) == MAX_PLACES
    assert one["count"] == 3 * len(rows)
    assert one["places"][0] == "0.php: calls f() (3 times)"


def test_every_entry_that_ships_makes_a_report_of_each_of_its_checks() -> None:
    for entry in load().values():
        rows = tuple(row(check["id"], "what") for check in entry.checks())
        assert set(found(report_of(seen(copy=rows), entry))) == {check["id"] for check in entry.checks()}


# --- the page ---


class Structure(HTMLParser):
    """The tags of a page with the names of their attributes, and the addresses that it can lead to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.hrefs: list[str | None] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))
        self.hrefs += [value for name, value in attrs if name in ("href", "src", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


def filled(text: str) -> dict[str, Any]:
    """A report with this text wherever a customer, a visitor or a database has a say."""
    return {
        "account": text,
        "entry": "infrastructure-2026",
        "title": text,
        "from": "2022",
        "to": "2026",
        "tested_at": WHEN.isoformat(),
        "expires_at": None,
        "names": {text: text},
        "verdict": "blocked",
        "sentence": text,
        "findings": [
            {
                **{"id": "x", "severity": severity, "title": text, "explanation": text, "fix": text},
                **{"places": [text] * 7, "count": 7},
            }
            for severity in ("blocker", "warning", "note")
        ],
        "pages": [a_page(url=text, test_url=text, title=[text, text + "x"], php_errors=[text])],
        "copied": {"files": 1, "bytes": 1, "databases": [text]},
        "looked_at": {},
        "not_looked_at": [text],
        "unchecked": [{"title": text, "explanation": text, "fix": text}],
    }


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></title><b>",
    "{{ 7 * 7 }}{% for x in y %}",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "\u202egnp.exe\x00\x1b[31m",
    "<!--",
    "]]>",
]


def assert_harmless(text: str) -> None:
    made = Structure(report_page(filled(text)))
    assert made.tags == Structure(report_page(filled("plain"))).tags
    assert all(
        href.startswith("#") or href.startswith(("http://", "https://")) for href in made.hrefs if href is not None
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text: str) -> None:
    assert_harmless(text)


@settings(max_examples=60)
@given(text=st.text(min_size=1).filter(lambda text: not text.startswith("http")))
def test_any_text_stays_text(text: str) -> None:
    assert_harmless(text)


def test_nothing_is_fetched_and_nothing_is_run() -> None:
    html = report_page(report_of(seen(pages=(a_page(),))))
    made = Structure(html)
    assert {tag[0] for tag in made.tags}.isdisjoint({"script", "img", "link", "iframe", "form", "object"})
    assert "default-src 'none'" in html and "url(" not in html and "@import" not in html
    assert "https://shop-example.test.example/" in made.hrefs
    assert "Ready to move" in made.text and "Wednesday, 25 November 2026, 22:44 UTC" in made.text
    assert "1.5 MB" in made.text


def test_the_page_of_a_blocked_account_begins_with_what_to_do() -> None:
    text = Structure(report_page(report_of(seen(copy=(row("gone"), row("going")))))).text
    assert text.index("Not yet") < text.index("What to do first") < text.index("Has to be mended")
    assert text.index("Has to be mended") < text.index("Good to know")
    assert "Use your sites in the test" in text


def test_a_test_of_one_engine_is_told_of_databases() -> None:
    looks = seen()
    text = Structure(report_page(report_of(Seen(replace(looks.duplicated, files=0), Checked(), looks.copy, {})))).text
    assert "Use your databases in the test" in text and "Your pages" not in text


def test_the_command_renders_a_report(tmp_path: Path) -> None:
    file = tmp_path / "test-1.json"
    report = report_of(seen(pages=(a_page(),)))
    file.write_text(json.dumps(report))
    ran = subprocess.run(
        [sys.executable, "-m", "include.compatibility", str(file)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == report_page(report).strip()
