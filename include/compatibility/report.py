"""The report of a test, as JSON: what each look has found, how grave it is, and what its customer should do.

A blocker is what was seen to fail: an object that the new version did not take, a page that no longer answers. What was
only read in the account's code is as grave as the catalogue says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from include.agent.account.engines import DECLARED
from include.agent.host.digest import printable
from include.agent.verbs.reports import Checked, Duplicated, Finding, Missing, Remark
from include.catalogue import Entry
from include.compatibility import text
from include.compatibility.pages import slower

SEVERITIES = ("blocker", "warning", "note")
MAX_PLACES = 100
ALIKE = 0.6

_STORES = {"files": "Files", **{engine.name: engine.title for engine in DECLARED}}


@dataclass(frozen=True)
class Seen:
    """What the looks of a test gave: the agent's `duplicate`; its `check` on the original and on the copy, which run
    different kinds of checks; and `compare_pages`. What was not done is empty."""

    duplicated: Duplicated
    original: Checked
    copy: Checked
    pages: Mapping[str, Any]


def build(
    entry: Entry,
    account: str,
    seen: Seen,
    *,
    names: Mapping[str, str],
    databases: Iterable[str],
    tested_at: datetime,
    expires_at: datetime | None,
) -> dict[str, Any]:
    """The report of one test of an account: {"account", "entry", "title", "from", "to", "tested_at", "expires_at",
    "names", "verdict": ready|warnings|blocked, "sentence", "findings", "pages", "copied", "looked_at", "not_looked_at",
    "unchecked": [{"title", "explanation", "fix"}: what nothing could look for]}; the gravest findings first."""
    pages = list(seen.pages.get("pages", ()))
    looks = (seen.original.not_looked_at, seen.copy.not_looked_at, seen.pages.get("not_looked_at", ()))
    findings = [
        *_restore(seen.duplicated, entry),
        *_pages(pages),
        *_checks(entry, [*seen.original.findings, *seen.copy.findings], seen.original.php_extensions),
        *_waits(seen.duplicated),
        *_left(seen.duplicated),
    ]
    findings.sort(key=lambda finding: SEVERITIES.index(finding["severity"]))
    verdict = _verdict(findings)
    return {
        "account": account,
        "entry": entry.name,
        "title": entry.title,
        "from": entry.from_version,
        "to": entry.to_version,
        "tested_at": tested_at.isoformat(timespec="seconds"),
        "expires_at": expires_at.isoformat(timespec="seconds") if expires_at else None,
        "names": dict(names),
        "verdict": verdict,
        "sentence": _sentence(account, entry, verdict, findings),
        "findings": findings,
        "pages": pages,
        "copied": {
            "files": seen.duplicated.files,
            "bytes": seen.duplicated.bytes,
            "databases": sorted(databases),
        },
        "looked_at": asdict(seen.copy.looked_at) if seen.copy.looked_at else {},
        "not_looked_at": list(dict.fromkeys(sentence for sentences in looks for sentence in sentences)),
        "unchecked": _unchecked(entry),
    }


def counts(report: Mapping[str, Any]) -> tuple[int, int]:
    """How many blockers and warnings a report has."""
    severities = [finding["severity"] for finding in report["findings"]]
    return severities.count("blocker"), severities.count("warning")


def blockers(report: Mapping[str, Any]) -> list[str]:
    """What stops the account, one sentence for each blocker: what it is, where it is first, and what to do."""
    return [
        printable(f"{finding['title']}: {_first(finding)}. {finding['fix']}")
        for finding in report["findings"]
        if finding["severity"] == "blocker"
    ]


def _first(finding: Mapping[str, Any]) -> str:
    place = finding["places"][0].rstrip().rstrip(".")[:600] if finding["places"] else finding["explanation"].rstrip(".")
    more = f" (and {finding['count'] - 1:,} more)" if finding["count"] > 1 else ""
    return f"{place}{more}"


def left_behind(report: Mapping[str, Any]) -> list[str]:
    """What of the account is not carried over, a sentence each."""
    return [
        printable(place) for finding in report["findings"] if finding["id"] == "left" for place in finding["places"]
    ]


def _finding(
    id: str, severity: str, title: str, explanation: str, fix: str, places: Iterable[str], count: int | None = None
) -> dict[str, Any]:
    places = list(dict.fromkeys(places))
    return {
        "id": id,
        "severity": severity,
        "title": title,
        "explanation": explanation,
        "fix": fix,
        "places": places[:MAX_PLACES],
        "count": len(places) if count is None else count,
    }


# --- what the copy's restore said ---


def _restore(duplicated: Duplicated, entry: Entry) -> Iterator[dict[str, Any]]:
    errors = [remark for remark in duplicated.said if remark.severity == "error"]
    warnings = [remark for remark in duplicated.said if remark.severity != "error"]
    reported = {_object(remark) for remark in errors}
    missing = [_object(missing) for missing in duplicated.missing if _object(missing) not in reported]
    if errors:
        yield _finding(
            "restore-errors",
            "blocker",
            "Parts of your databases that the new version refuses",
            f"When we restored your databases on {entry.title}, these objects could not be made, or not as they were.",
            "Change or remove them in the original as each message says, then test again.",
            (f"{_object(remark)}: {remark.message}" for remark in errors),
        )
    if missing:
        yield _finding(
            "restore-missing",
            "blocker",
            "Parts of your databases that did not come over",
            f"These objects are in your databases, and are not in the copy on {entry.title}.",
            "Mostly they depend on something that the new version refuses. Mend that first, then test again; ask us if"
            " nothing else is named in this report.",
            missing,
        )
    if warnings:
        yield _finding(
            "restore-warnings",
            "warning",
            "What the new version remarked on your databases",
            "Everything named here was restored, and the database server had something to say about it.",
            "Read the messages; where one names something of yours, look whether it works in the test.",
            (f"{_object(remark)}: {remark.message}" for remark in warnings),
        )


def _object(remark: Remark | Missing) -> str:
    where = _where(remark.store, remark.database)
    return f"{where}, {remark.object}" if remark.object else where


def _where(store: str, database: str | None) -> str:
    return " ".join(word for word in (_STORES.get(store, store), database) if word)


def _waits(duplicated: Duplicated) -> Iterator[dict[str, Any]]:
    if duplicated.waits:
        yield _finding(
            "copied-while-visitors-wait",
            "warning",
            "Databases that are copied while your visitors wait",
            "What changes in these databases cannot be followed while you work. So when you move they are copied as a"
            " whole, and requests wait for that. A move is not begun when they would wait longer than a second, unless"
            " you allow more.",
            "Have set what is named with each and test again; or choose a quiet hour, and allow as long a wait.",
            (f"{_where(wait.store, wait.database)}: {wait.message}" for wait in duplicated.waits),
        )


def _left(duplicated: Duplicated) -> Iterator[dict[str, Any]]:
    if duplicated.left:
        yield _finding(
            "left",
            "note",
            "What is not carried over",
            "These things of your account are not copied, neither in the test nor when you move.",
            "Nothing, as a rule. Ask us if you need one of them.",
            duplicated.left,
        )


# --- the catalogue's checks ---


def _checks(entry: Entry, findings: list[Finding], present: Iterable[str] | None = None) -> Iterator[dict[str, Any]]:
    """One finding for each incompatibility that was found. What the agent was asked by a catalogue that has changed
    since then is left out: the catalogue's present word counts. `present`: the extensions that PHP has on the present
    server, where it says so; what it has not, the new version takes from nobody."""
    for incompatibility in entry.incompatibilities:
        if incompatibility.check is not None and incompatibility.check.kind == "php_extensions" and present is not None:
            if not {name.lower() for name in incompatibility.check.arguments["extensions"]} & {*present}:
                continue
        of_it = [finding for finding in findings if finding.check == incompatibility.id]
        # PHP itself says which files it reads all the same.
        mild = incompatibility.check is not None and incompatibility.check.kind == "php_lint"
        deprecated = [finding for finding in of_it if mild and finding.what.startswith("Deprecated: ")]
        grave = [finding for finding in of_it if finding not in deprecated]
        if grave:
            yield _finding(
                incompatibility.id,
                incompatibility.severity,
                incompatibility.title,
                incompatibility.explanation,
                incompatibility.fix,
                *_places(grave),
            )
        if deprecated:
            yield _finding(
                f"{incompatibility.id}-deprecated",
                "note",
                "PHP files with a style that is going to go",
                "These files work on the new version. PHP writes a “Deprecated” message each time that they are used,"
                " into the log or, where the display of errors is on, into the page.",
                "Switch display_errors off on public sites, and update the software that the files belong to.",
                *_places(deprecated),
            )


def _places(findings: list[Finding]) -> tuple[list[str], int]:
    places = [
        f"{finding.where}: {finding.what}" + (f" ({finding.count:,} times)" if finding.count > 1 else "")
        for finding in findings
    ]
    return places, sum(finding.count for finding in findings)


def _unchecked(entry: Entry) -> list[dict[str, str]]:
    """What the new version does otherwise, and nothing can look for in an account."""
    return [
        {"title": incompatibility.title, "explanation": incompatibility.explanation, "fix": incompatibility.fix}
        for incompatibility in entry.incompatibilities
        if incompatibility.check is None
    ]


# --- pages ---


def _pages(pages: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """A page that no longer works is told once, with the gravest that is wrong with it."""
    kinds: dict[str, list[str]] = {}
    for page in pages:
        for kind, place in _wrong(page):
            kinds.setdefault(kind, []).append(f"{page['url']}: {place}")
    for kind, (severity, title, explanation, fix) in _PAGE_FINDINGS.items():
        if kind in kinds:
            yield _finding(kind, severity, title, explanation, fix, kinds[kind])


def _wrong(page: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    old, new = page["status"]
    fatal = [complaint for complaint in page["php_errors"] if text.fatal(complaint)]
    if old == 200 and new in (502, 504) and page.get("of_app"):
        yield "pages-app", f"status {new}: nothing listens there in the copy"
        return
    if old == 200 and (new is None or new >= 500):
        yield "pages-broken", "; ".join(["no answer" if new is None else f"status {new}", *page["php_errors"]])
        return
    if fatal:
        yield "pages-broken", "; ".join(fatal)
        return
    yield from (("pages-php", complaint) for complaint in page["php_errors"])
    if old != new and (new is None or new < 500 or old < 500):
        yield "pages-status", f"status {old} before, {'no answer' if new is None else new} now"
    elif page["likeness"] < ALIKE:
        yield "pages-unlike", f"{page['likeness']:.0%} of the words are the same"
    if slower(page["seconds"]):
        yield "pages-slow", "{:.1f} s before, {:.1f} s now".format(*page["seconds"])


_PAGE_FINDINGS = {
    "pages-broken": (
        "blocker",
        "Pages that no longer work",
        "These pages answer on your present server, and fail in the copy on the new version.",
        "Open the page at the test address. Bring the software of the site, its plugins and its theme up to date, then"
        " test again; the other findings often name the line of code.",
    ),
    "pages-app": (
        "warning",
        "Pages of a program of yours that does not run in the copy",
        "These pages come from a program of your own behind ~/app.sock, and nothing answers for it in the copy. There,"
        " and after the move, we start what the lines @reboot of your crontab start, and nothing else.",
        "Start it by a line that begins with @reboot (crontab -e), then test again. If it has such a line, log in to"
        " the copy and look why it ended.",
    ),
    "pages-php": (
        "warning",
        "PHP messages that visitors would see",
        "These pages work on the new version, and show messages of PHP that they do not show today.",
        "Update the software of the site, and switch display_errors off: messages belong into the log.",
    ),
    "pages-status": (
        "warning",
        "Pages that answer otherwise",
        "These pages answer with another status than on your present server.",
        "Open the page at both addresses and compare.",
    ),
    "pages-unlike": (
        "warning",
        "Pages that look quite different",
        "Much of the text of these pages is not the same in the copy.",
        "Open the page at both addresses and compare. Pages made of news, time or chance differ by nature.",
    ),
    "pages-slow": (
        "note",
        "Pages that take longer",
        "These pages took more than three times as long on the test server, where many copies share one machine.",
        "Use the page in the test a few times; the first call is the slowest. Tell us if it stays slow.",
    ),
}


# --- the verdict ---


def _verdict(findings: Iterable[Mapping[str, Any]]) -> str:
    severities = {finding["severity"] for finding in findings}
    return "blocked" if "blocker" in severities else "warnings" if "warning" in severities else "ready"


def _sentence(account: str, entry: Entry, verdict: str, findings: list[dict[str, Any]]) -> str:
    if verdict == "ready":
        return f"{account} can move to {entry.title}: we found nothing that stands in the way."
    grave = [
        finding for finding in findings if finding["severity"] == ("blocker" if verdict == "blocked" else "warning")
    ]
    if verdict == "warnings":
        them = "one thing wants" if len(grave) == 1 else f"{len(grave)} things want"
        return f"{account} can move to {entry.title}; {them} a look first."
    more = f", and {len(grave) - 1} more" if len(grave) > 1 else ""
    return f"{account} cannot move to {entry.title} yet ({grave[0]['title']}{more}): mend this and test again."
