"""The compatibility report's page in Debian's Chromium: what a customer sees, on a screen and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from include.compatibility import report_page
from tests.support.chromium import CHROMIUM, browser
from tests.support.compatibility import a_page, report_of, row, said, seen

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's chromium is not installed")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as one:
        yield one


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of an account with a blocker."""
    report = report_of(seen(said=(said("error"),), copy=(row("lint"),), pages=(a_page(),)))
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report_page(report))
    return path.as_uri()


@pytest.mark.parametrize("width", [1100, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_verdict_is_on_top_and_nothing_runs_out_of_the_page(
    chromium: Any, file: str, width: int, scheme: str, tmp_path: Path
) -> None:
    shown = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto(file)
    heading = shown.locator("h1").first
    assert heading.is_visible() and heading.bounding_box()["y"] < 400
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert asked == [file], "nothing is fetched from outside"
    shown.screenshot(path=str(tmp_path / "report.png"), full_page=True)
    assert Path(tmp_path / "report.png").stat().st_size > 10_000
    shown.close()
