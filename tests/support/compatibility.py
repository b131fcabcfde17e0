"""Made-up looks at an account before and after, and the compatibility report that is made of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from include.agent.host.codec import decode
from include.agent.verbs.reports import Checked, Duplicated
from include.catalogue import Check, Entry, Incompatibility
from include.compatibility import build
from include.compatibility.report import Seen

WHEN = datetime(2026, 11, 25, 22, 44, tzinfo=UTC)


def incompatibility(id: str, severity: str, kind: str | None = None) -> Incompatibility:
    check = Check(kind, {}) if kind else None
    return Incompatibility(id, f"Title of {id}", "What it is.", "What to do.", severity, check)


ENTRY = Entry(
    name="infrastructure-2026",
    title="Infrastructure 2026",
    kind="infrastructure",
    from_version="2022",
    to_version="2026",
    page="Page.",
    mandatory=False,
    opens=None,
    incompatibilities=(
        incompatibility("lint", "warning", "php_lint"),
        incompatibility("gone", "blocker", "postgresql_extensions"),
        incompatibility("going", "note", "php_functions"),
        incompatibility("modules", "warning", "python_modules"),
        incompatibility("untold", "warning"),
    ),
)


def seen(
    *,
    said: tuple[dict[str, Any], ...] = (),
    missing: tuple[dict[str, Any], ...] = (),
    left: tuple[str, ...] = (),
    waits: tuple[dict[str, Any], ...] = (),
    original: tuple[dict[str, Any], ...] = (),
    copy: tuple[dict[str, Any], ...] = (),
    pages: tuple[dict[str, Any], ...] = (),
) -> Seen:
    copied = {"files": 2, "bytes": 1_500_000, "said": list(said), "missing": list(missing), "left": list(left)}
    return Seen(
        decode(Duplicated, {**copied, "waits": list(waits)}),
        decode(Checked, {"findings": list(original), "not_looked_at": ["The database late.", "Files above 2 MB."]}),
        decode(
            Checked,
            {
                "findings": list(copy),
                "looked_at": {"files": 2, "php_files": 1, "tables": 3, "seconds": 0.5},
                "not_looked_at": ["Files above 2 MB."],
            },
        ),
        {"pages": list(pages), "not_looked_at": ["https://shop.example/late"]},
    )


def report_of(looks: Seen, entry: Entry = ENTRY) -> dict[str, Any]:
    return build(
        entry,
        "shop",
        looks,
        names={"shop.example": "shop-example.test.example"},
        databases=["shop_b", "shop_a"],
        tested_at=WHEN,
        expires_at=WHEN,
    )


def said(severity: str, object: str = "function f()") -> dict[str, Any]:
    return {"store": "postgresql", "database": "shop", "severity": severity, "object": object, "message": "No."}


def row(check: str, what: str = "calls f()", where: str = "a.php:3", count: int = 1) -> dict[str, Any]:
    return {"check": check, "where": where, "what": what, "count": count}


def a_page(**other: Any) -> dict[str, Any]:
    plain = {
        "url": "https://shop.example/",
        "test_url": "https://shop-example.test.example/",
        "status": [200, 200],
        "title": ["Shop", "Shop"],
        "likeness": 1.0,
        "php_errors": [],
        "seconds": [0.1, 0.1],
    }
    return plain | other
