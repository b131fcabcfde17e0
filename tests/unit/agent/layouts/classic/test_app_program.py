"""The first visitors of a program of an account's own wait until it listens; nobody else does."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from include.agent.account.accounts import Account
from include.agent.host.kept import Kept
from include.agent.layouts.classic import extras, front, php
from include.agent.layouts.haproxy import HAProxy

from . import running_front

ALICE = Account.from_json(
    {
        "account": "alice",
        "uid": 2001,
        "gid": 2001,
        "home": "/home/alice",
        "sites": [{"domain": "shop.example", "aliases": ["www.shop.example"], "root": None, "app": "/live"}],
    }
)


def test_a_start_lets_visitors_wait_for_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    monkeypatch.setattr(php, "GATES", tmp_path)
    monkeypatch.setattr(extras, "sockets", lambda _: [])
    monkeypatch.setattr(front, "command", lambda text: happened.append(text.replace(str(front.APPS_MAP), "apps")))
    monkeypatch.setattr(php, "run", lambda argv, **more: happened.append(f"{argv[1]} {argv[-1]} {more['env']['HOME']}"))
    with Kept():
        php.start(ALICE)
    assert happened == [
        "add map apps shop.example/live alice",
        "add map apps www.shop.example/live alice",
        "--reuid=2001 await-app /home/alice",
        "del map apps shop.example/live",
        "del map apps www.shop.example/live",
    ]


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@running_front.needs_haproxy
def test_the_front_keeps_them_and_lets_them_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    monkeypatch.setattr(front, "APPS_MAP", tmp_path / "apps.map")
    monkeypatch.setattr(front, "command", HAProxy(tmp_path / "admin.sock", "none").command)
    domains = {"shop.example": "alice", "www.shop.example": "alice"}
    answered: dict[str, float] = {}

    def visit(host: str, path: str) -> None:
        assert running_front.get(tmp_path, host, path).status == 204
        answered[host + path] = time.monotonic()

    with running_front.running(tmp_path, site.server_port, domains=domains):
        front.hold_app(ALICE)
        visits: list[Any] = [
            threading.Thread(target=visit, args=each)
            for each in (("shop.example", "/live/x?y"), ("www.shop.example", "/live"), ("shop.example", "/"))
        ]
        for thread in visits:
            thread.start()
        time.sleep(1)
        assert [*answered] == ["shop.example/"]
        front.let_app_go(ALICE)
        began = time.monotonic()
        for thread in visits:
            thread.join()
        assert len(answered) == 3 and max(answered.values()) < began + 1
        visit("shop.example", "/live")
    site.shutdown()
