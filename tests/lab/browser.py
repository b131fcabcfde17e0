"""A person at Airflow's page: Debian's Chromium on the machine's own loopback, where the page is offered.

Every wait is for something on the page, and long: the machine may be busy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from benchmarks.stage import enter
from lab import airflow, topology
from tests.lab.handles import Lab
from tests.support.chromium import browser

if TYPE_CHECKING:
    from playwright.sync_api import Frame, Page

PATIENCE = 180_000
"""Milliseconds to wait for anything on a page."""
PICTURES = airflow.REPOSITORY / "reports" / "screenshots"


class Person:
    """Somebody of ops who is logged in to Airflow's UI."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url

    def board(self) -> Frame:
        """Opens the board from Airflow's navigation; gives its frame."""
        self.page.goto(self.url)
        self.page.get_by_role("link", name="Board").or_(self.page.get_by_text("Board", exact=True)).first.click()
        return self.live()

    def live(self) -> Frame:
        """The board's frame, once its stream is open; `watched` stays until it is loaded anew."""
        self.page.frame_locator("iframe").locator('#live[data-state="live"]').wait_for()
        frame = self.page.locator("iframe").element_handle().content_frame()
        assert frame
        frame.evaluate("window.watched = true")
        return frame

    def server(self, frame: Frame, name: str) -> Frame:
        """Follows a link of the board to a server's page; gives the frame."""
        frame.get_by_role("link", name=name, exact=True).first.click()
        frame.locator("#path").wait_for()
        return self.live()

    def picture(self, name: str, page: Page | None = None) -> None:
        """Keeps what the person sees."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        (page or self.page).screenshot(path=PICTURES / f"{name}.png")


@contextmanager
def at_airflow(lab: Lab) -> Iterator[Person]:
    """A person in front of a browser, who has logged in.

    The browser belongs where the tests were started; this process is elsewhere again when it talks to it.
    """
    from playwright.sync_api import expect

    url, user, password = airflow.login()
    with ExitStack() as closing:
        enter(lab.home)
        try:
            chromium = closing.enter_context(browser())
        finally:
            enter(f"/run/netns/{topology.OPS}")
        expect.set_options(timeout=PATIENCE)
        page = chromium.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(PATIENCE)
        page.set_default_navigation_timeout(PATIENCE)
        page.goto(url)
        page.locator("input[name=username]").fill(user)
        page.locator("input[name=password]").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(re.compile(f"^{re.escape(url)}/(?!auth)"))
        yield Person(page, url)
