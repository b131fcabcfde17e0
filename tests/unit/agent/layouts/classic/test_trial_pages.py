"""A test copy's site answers to its test name, believes that it is asked for its own, and leads back to that."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from include.agent.account import accounts
from include.agent.account.accounts import Account, State, put_state, save
from include.agent.host.system import PATH, Refused, refuse
from include.agent.layouts.classic import front, trial_pages
from include.agent.layouts.classic.reading.nginx import tokens

ROOT = Path(__file__).parents[5]
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


def _config(folder: Path, port: int) -> str:
    """The front's own configuration, at a socket of this folder's, before a site at this port."""
    front_of = "infrastructure/{}/etc/transhumance/front"
    places = (ROOT / front_of.format(tree) for tree in ("common", "classic"))
    laid = {path.name: path.read_text() for place in places for path in place.iterdir() if path.is_file()}
    laid |= {
        "domains.map": "t1.test.example alice\n",
        "accounts.map": "alice serve\n",
        "peers.lst": "",
        "trial_hosts.map": "t1.test.example www.shop.example\n",
        "trial_names.map": "".join(f"{host} {name}\n" for host, name in NAMES.items()),
    }
    for name, text in laid.items():
        (folder / name).write_text(text.replace("/etc/transhumance/front/", f"{folder}/"))
    text = laid["haproxy.cfg"].replace("/etc/transhumance/front/", f"{folder}/")
    text = text.replace("/run/transhumance-front/", f"{folder}/")
    text = re.sub(r" +(chroot|user|group|log) .*\n| +bind \S*(\[::1\]|:8081|:24443).*\n", "", text)
    text = text.replace("bind 127.0.0.1:24080 transparent", f"bind unix@{folder}/front.sock")
    text = re.sub(r".*!{ dst_port 80 443 }\n", "", text)
    text = text.replace("server web 0.0.0.0:0 source 127.0.0.9\n", f"server web 127.0.0.1:{port}\n")
    return re.sub(r".*http-request set-dst-port int\(80\)\n", "", text)


@pytest.mark.skipif(shutil.which("haproxy", path=PATH) is None, reason="Debian's haproxy is missing")
def test_the_front_leads_redirects_and_cookies_back(tmp_path: Path, site: Any) -> None:
    (tmp_path / "cfg").write_text(_config(tmp_path, site.server_port))
    haproxy = subprocess.Popen([str(shutil.which("haproxy", path=PATH)), "-q", "-db", "-f", tmp_path / "cfg"])
    try:
        while not (tmp_path / "front.sock").exists():
            assert haproxy.poll() is None
            time.sleep(0.05)
        answer = _get(
            tmp_path, "t1.test.example", Referer="https://t1.test.example/y", Origin="https://t1.test.example"
        )
        assert answer.getheader("Location") == "https://t1.test.example/a?x=https://shop.example/"
        assert answer.headers.get_all("Set-Cookie") == ["a=1; Domain=t1.test.example; path=/", "b=2"]
        assert answer.getheader("X-Robots-Tag") == "noindex, nofollow"
        asked = {name.lower(): value for name, value in site.asked[-1].items()}
        assert (asked["host"], asked["referer"]) == ("www.shop.example", "https://www.shop.example/y")
        assert asked["origin"] == "https://www.shop.example" and "accept-encoding" not in asked
        assert _get(tmp_path, "t1.test.example", "/robots.txt").read() == b"User-agent: *\nDisallow: /\n"
        # Nobody else is led anywhere.
        other = _get(tmp_path, "other.example")
        assert other.getheader("Location") == "https://Shop.example:443/a?x=https://shop.example/"
        assert other.getheader("X-Robots-Tag") == "all"
    finally:
        haproxy.terminate()
        haproxy.wait()


def _get(folder: Path, host: str, path: str = "/", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(folder / "front.sock"))
    connection.request("GET", path, headers={"Accept-Encoding": "gzip", **headers})
    return connection.getresponse()
