"""The report of a test as one page for the customer: complete in itself, without scripts, in light and dark, on any
screen. Everything in a report may have been written by a customer or a visitor, so all of it is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from include.compatibility.report import SEVERITIES

FEW = 5
"""Places that are shown at once; the others are behind a click."""
_HEADINGS = {"blocker": "Has to be mended", "warning": "Wants a look", "note": "Good to know"}
_FIRST = {"blocked": "blocker", "warnings": "warning"}
_VERDICTS = {"ready": "Ready to move", "warnings": "Can move, with a look at some things", "blocked": "Not yet"}


def report_page(report: Mapping[str, Any]) -> str:
    """The report as HTML."""
    linked = {urlsplit(page["test_url"]).hostname: _root(page["test_url"]) for page in report["pages"]}
    findings = list(enumerate(report["findings"], 1))
    return _ENVIRONMENT.get_template("page.html.j2").render(
        report=report,
        verdict=_VERDICTS[report["verdict"]],
        first=[
            (number, finding) for number, finding in findings if finding["severity"] == _FIRST.get(report["verdict"])
        ],
        groups=[
            (
                severity,
                _HEADINGS[severity],
                [(number, finding) for number, finding in findings if finding["severity"] == severity],
            )
            for severity in SEVERITIES
        ],
        names=[(site, name, linked.get(name)) for site, name in sorted(report["names"].items())],
        few=FEW,
    )


def _root(url: str) -> str | None:
    return "{0.scheme}://{0.netloc}/".format(urlsplit(url)) if _link(url) else None


def _link(url: str) -> str | None:
    """An address that may be clicked; nothing that a browser would run."""
    return url if url.startswith(("https://", "http://")) else None


def _moment(written: str | None) -> str:
    """A moment for people, in the zone that it is written in."""
    if written is None:
        return "not set"
    return f"{datetime.fromisoformat(written):%A, %-d %B %Y, %H:%M %Z}".strip()


def _size(number: int) -> str:
    """Bytes for people, in powers of a thousand."""
    size, units = float(number), ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:,.0f} {units[0]}" if size >= 10 or units[0] == "bytes" else f"{size:.1f} {units[0]}"


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(link=_link, moment=_moment, size=_size)
    return made


_ENVIRONMENT = _environment()
