"""The made-up host's pages as PNGs, in light, in dark and on a phone, by Debian's Chromium:

PYTHONPATH=.:plugins python -m tests.board.look FOLDER
PYTHONPATH=.:plugins python -m tests.board.look --readme docs/board.png
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psycopg
from fastapi import FastAPI

from tests.board import made_up, standing_alone
from tests.support.chromium import browser
from transhumance_airflow.board import PREFIX

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The app on a free port of 127.0.0.1; its address. Streams that are open are cut off at the end."""
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the server did not start")
        threading.Event().wait(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def main() -> None:
    """Takes the pictures."""
    from include.registry.schema import upgrade
    from tests.support.postgres import cluster, create

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--readme", type=Path)
    asked = parser.parse_args()
    with cluster() as database:
        dsn = create(database, "board")
        upgrade(dsn)
        with psycopg.connect(dsn, autocommit=True) as conn:
            made = made_up.fill(conn)
        with served(standing_alone.app(dsn, *standing_alone.told(made))) as address, browser() as chromium:
            take(chromium, address + PREFIX, asked.folder, asked.readme)


def take(chromium: Browser, board: str, folder: Path | None, readme: Path | None) -> None:
    """One PNG a page, theme and size."""

    def picture(
        path: str, to: Path, scheme: Literal["light", "dark"], width: int, height: int, whole: bool = True
    ) -> None:
        page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        page.on("console", lambda said: print(said.type, said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: print("error", error))
        page.goto(board + path)
        page.wait_for_selector('#live[data-state="live"]')
        page.wait_for_timeout(400)
        page.screenshot(path=to, full_page=whole)
        page.close()

    if readme is not None:
        picture("/", readme, "light", 1280, 1420, whole=False)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, path in (("board", "/"), ("out", "/servers/vps-4"), ("performing", "/servers/vps-3")):
            picture(path, folder / f"{name}-light.png", "light", 1280, 900)
            picture(path, folder / f"{name}-dark.png", "dark", 1280, 900)
            picture(path, folder / f"{name}-phone.png", "light", 390, 844)


if __name__ == "__main__":
    main()
