"""Before which web server a front can stand; where one cannot, a sentence says where and what to do."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from include.agent.host.system import Refused
from include.agent.layouts.classic import web_server

from .laid import laid

LINE = 'LISTEN 0 511 {at}:{port} 0.0.0.0:* users:(("{name}",pid=9,fd=4),("{name}",pid=8,fd=4))'
HOST = "<VirtualHost *:443>\nServerName shop.example\n{}\n</VirtualHost>\n"
NGINX = "http {{ server {{ listen 443 ssl {}; server_name shop.example; {} }} }}"


class Listening:
    """Who listens where, as `ss` says it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines: list[str] = []
        monkeypatch.setattr(web_server, "run", lambda _argv: SimpleNamespace(stdout="\n".join(self.lines).encode()))
        monkeypatch.setattr(web_server.shutil, "which", lambda name, path: f"/usr/sbin/{name}")
        monkeypatch.setattr(web_server, "_REMOTEIP", Path("/"))

    def add(self, name: str, *ports: int, at: str = "*") -> None:
        self.lines += [LINE.format(name=name, at=at, port=port) for port in ports]


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Listening:
    return Listening(monkeypatch)


def test_who_has_the_ports_of_the_web_is_stood_before(listening: Listening) -> None:
    listening.add("apache2", 80, 443, at="[::]")
    listening.add("nginx", 8080)
    assert web_server.here() is web_server.APACHE
    assert web_server.listened_at((80, 443, 8080, 24080)) == {80, 443, 8080}


@pytest.mark.parametrize(
    ("owners", "sentence"),
    [
        ([], "No web server listens on port 80 or 443 here; start it"),
        (["litespeed"], "belong to litespeed here"),
        (["nginx", "apache2"], "belong to apache2 and nginx here"),
        (["docker\x1b[2K"], "let one of apache2 and nginx have both"),
    ],
)
def test_before_others_none_can_stand(listening: Listening, tmp_path: Path, owners: list[str], sentence: str) -> None:
    for owner, port in zip(owners, (80, 443), strict=False):
        listening.add(owner, port)
    with pytest.raises(Refused, match=sentence) as refused:
        web_server.here()
    assert refused.value.message.isprintable()
    assert [*web_server.unfit(laid(tmp_path, "apache"))] == [refused.value.message]


APACHE_SAYS = [
    (HOST.format("SSLVerifyClient require"), "asks its visitors for certificates"),
    (HOST.format("<Location /office>\nsslverifyclient optional\n</Location>"), "asks its visitors for certificates"),
    ("RemoteIPHeader CF-Connecting-IP\n", "who visits is read from CF-Connecting-IP"),
    (HOST.format("RemoteIPHeader X-Real-IP"), "who visits is read from X-Real-IP"),
    (HOST.format("RemoteIPInternalProxy 10.0.0.1"), "is said for one site"),
    ("RemoteIPProxyProtocol On\n", "PROXY protocol"),
]


@pytest.mark.parametrize(("content", "sentence"), APACHE_SAYS)
def test_what_a_front_would_change_is_named(listening: Listening, tmp_path: Path, content: str, sentence: str) -> None:
    listening.add("apache2", 80, 443)
    tree = laid(tmp_path, "apache", **{"etc/apache2/sites-enabled/odd.conf": content})
    (said,) = web_server.unfit(tree)
    assert said.startswith("/etc/apache2/sites-enabled/odd.conf:") and sentence in said and said.isprintable()


@pytest.mark.parametrize(
    "content",
    [
        HOST.format("SSLVerifyClient none"),
        "RemoteIPHeader X-Forwarded-For\nRemoteIPTrustedProxy 10.0.0.1\n",
        "RemoteIPProxyProtocol Off\n",
    ],
)
def test_what_it_changes_nothing_of_is_not(listening: Listening, tmp_path: Path, content: str) -> None:
    listening.add("apache2", 80, 443)
    tree = laid(tmp_path, "apache", **{"etc/apache2/sites-enabled/odd.conf": content})
    assert [*web_server.unfit(tree)] == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (NGINX.format("", "ssl_verify_client on;"), "asks its visitors for certificates"),
        (NGINX.format("proxy_protocol", ""), "PROXY protocol"),
        (NGINX.format("", "set_real_ip_from 10.0.0.1;"), "is said for one site"),
        ("http { real_ip_header CF-Connecting-IP; }", "who visits is read from CF-Connecting-IP"),
        (NGINX.format("", "ssl_verify_client off;"), None),
        ("http { real_ip_header X-Forwarded-For; set_real_ip_from 10.0.0.1; }", None),
    ],
)
def test_nginx_likewise(listening: Listening, tmp_path: Path, content: str, sentence: str | None) -> None:
    listening.add("nginx", 80, 443)
    said = [*web_server.unfit(laid(tmp_path, "apache", **{"etc/nginx/nginx.conf": content}))]
    assert (sentence is None and said == []) or (len(said) == 1 and sentence is not None and sentence in said[0])


def test_what_the_front_needs_is_named(listening: Listening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listening.add("apache2", 80)
    monkeypatch.setattr(web_server.shutil, "which", lambda name, path: None if name == "haproxy" else "/x")
    monkeypatch.setattr(web_server, "_REMOTEIP", tmp_path / "mod_remoteip.so")
    assert [*web_server.unfit(laid(tmp_path, "apache"))] == [
        "A front needs haproxy: install what brings them.",
        f"Apache has no {tmp_path}/mod_remoteip.so, by which it learns who visits: install apache2-bin again.",
    ]
