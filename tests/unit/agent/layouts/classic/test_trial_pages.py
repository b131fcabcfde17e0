"""A test copy's site answers to its test name, believes that it is asked for its own, and leads back to that."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from include.agent.account import accounts
from include.agent.account.accounts import Account, State, put_state, save
from include.agent.host.system import Refused, refuse
from include.agent.layouts.classic import front, trial_pages
from include.agent.layouts.classic.reading.nginx import tokens

from . import running_front

NAMES = {"shop.example": "t1.test.example", "www.shop.example": "t1.test.example"}
PAGE = (
    '<a href="https://shop.example/x"> //www.shop.example" {"u":"https:\\/\\/shop.example\\/y"} ?u=https%3A%2F%2F'
    "shop.example%2F https://shop.example. https://SHOP.example/"
)
OTHERS = "http://shop.example.org/ http://myshop.example/ http://shop.example-x/ shop.example"


def test_apache_leads_pages_back() -> None:
    """Tried with Apache 2.4.71, which read the same patterns in the same way."""
    page = f"{PAGE} {OTHERS}"
    substitutes = re.findall(r'Substitute "s~(.*)~(.*)~i"', trial_pages.apache(NAMES))
    assert len(substitutes) == 2
    for pattern, to in substitutes:
        page = re.sub(pattern.replace("\\\\", "\\"), to.replace("$1", r"\1"), page, flags=re.IGNORECASE)
    assert page.endswith(OTHERS)
    assert page.count("t1.test.example") == 6 and "shop.example" not in page.removesuffix(OTHERS).lower()


def test_nginx_leads_pages_back() -> None:
    words = [word for _, kind, word in tokens(trial_pages.nginx(NAMES)) if kind == "word"]
    assert len(words) < 2 * 255
    page = f"{PAGE} {OTHERS}"
    for at, word in enumerate(words):
        if word == "sub_filter":
            page = page.replace(words[at + 1], words[at + 2])
    assert '"https://t1.test.example/x"' in page and '//t1.test.example"' in page
    assert "shop.example.org/ http://myshop.example/" in page


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An Apache of which only the folder is there; what is run."""
    ran: list[str] = []
    (tmp_path / "apache").mkdir()
    apache, nginx = trial_pages.WEB_SERVERS
    there = [trial_pages._Web(tmp_path / "apache/t.conf", apache.content, apache.check, apache.unit)]
    there += [trial_pages._Web(tmp_path / "nginx/t.conf", nginx.content, nginx.check, nginx.unit)]
    monkeypatch.setattr(trial_pages, "WEB_SERVERS", there)
    monkeypatch.setattr(trial_pages, "run", lambda argv, **_: ran.append(" ".join(argv)))
    return ran


def test_the_file_is_there_while_there_are_copies(web: list[str], tmp_path: Path) -> None:
    file = tmp_path / "apache/t.conf"
    trial_pages.render({})
    assert web == []
    for _ in range(2):
        trial_pages.render(NAMES)
    assert file.exists() and not (tmp_path / "nginx").exists()
    assert web == ["apache2ctl configtest", "systemctl try-reload-or-restart apache2.service"]
    for _ in range(2):
        trial_pages.render({})
    assert not file.exists() and len(web) == 3


def test_what_the_web_server_does_not_take_is_taken_away(web: list[str], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(trial_pages, "run", lambda *_, **__: refuse("command_failed", "no"))
    with pytest.raises(Refused):
        trial_pages.render(NAMES)
    assert not (tmp_path / "apache/t.conf").exists()


def test_the_front_knows_what_a_test_name_stands_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE", "CONFIG", "RUNTIME"):
        monkeypatch.setattr(accounts, name, tmp_path)
    monkeypatch.setattr(front, "LOCK", tmp_path / "lock")
    said: dict[str, dict[str, str]] = {}
    monkeypatch.setattr(type(front.FRONT), "sync", lambda _, path, entries: said.update({path.name: entries}))
    monkeypatch.setattr(trial_pages, "render", lambda names: said.update(pages=names))
    sites = [{"domain": "shop.example", "aliases": ["www.shop.example"], "root": None}]
    save(Account.from_json({"account": "shop", "uid": 2001, "gid": 2001, "home": "/home/shop", "sites": sites}))
    put_state("shop", State("receiving", epoch=1, move="1"))
    front.render_sites()
    assert said == {"trial_hosts.map": {}, "trial_names.map": {}, "pages": {}}
    test = {"names": {"shop.example": "t1.test.example"}, "hosts": {"shop.example": "www.shop.example"}}
    put_state("shop", State("test", epoch=1, move="1", test=test))
    front.render_maps()
    assert said["trial_hosts.map"] == {"t1.test.example": "www.shop.example"}
    assert said["trial_names.map"] == said["pages"] == NAMES
    assert said["domains.map"] == {"t1.test.example": "shop"}


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(dict(self.headers))  # type: ignore[attr-defined]
        self.send_response(302)
        for name, value in (
            ("Location", "https://Shop.example:443/a?x=https://shop.example/"),
            ("Set-Cookie", "a=1; Domain=.shop.example; path=/"),
            ("Set-Cookie", "b=2"),
            ("X-Robots-Tag", "all"),
            ("Content-Length", "0"),
        ):
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def site() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@running_front.needs_haproxy
def test_the_front_leads_redirects_and_cookies_back(tmp_path: Path, site: Any) -> None:
    maps = {"trial_hosts": {"t1.test.example": "www.shop.example"}, "trial_names": NAMES}
    with running_front.running(tmp_path, site.server_port, domains={"t1.test.example": "alice"}, **maps):
        answer = running_front.get(
            tmp_path, "t1.test.example", Referer="https://t1.test.example/y", Origin="https://t1.test.example"
        )
        assert answer.getheader("Location") == "https://t1.test.example/a?x=https://shop.example/"
        assert answer.headers.get_all("Set-Cookie") == ["a=1; Domain=t1.test.example; path=/", "b=2"]
        assert answer.getheader("X-Robots-Tag") == "noindex, nofollow"
        asked = {name.lower(): value for name, value in site.asked[-1].items()}
        assert (asked["host"], asked["referer"]) == ("www.shop.example", "https://www.shop.example/y")
        assert asked["origin"] == "https://www.shop.example" and "accept-encoding" not in asked
        assert running_front.get(tmp_path, "t1.test.example", "/robots.txt").read() == b"User-agent: *\nDisallow: /\n"
        # Nobody else is led anywhere.
        other = running_front.get(tmp_path, "other.example")
        assert other.getheader("Location") == "https://Shop.example:443/a?x=https://shop.example/"
        assert other.getheader("X-Robots-Tag") == "all"
