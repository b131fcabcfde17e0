"""The front shows what the web server would show: its own certificates, copied, and again when they are renewed."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from include.agent.host.system import refuse
from include.agent.layouts import certificates
from include.agent.layouts.classic import copied_certificates, web_server
from include.agent.layouts.classic.reading.tree import Tree
from include.agent.layouts.haproxy import HAProxy
from tests.support.certificates import certificate, key_of, pem_of

from .laid import laid

KEY, OTHER = key_of(), key_of()
SHOP, NEWS = certificate(KEY, "shop.example"), certificate(OTHER, "news.example", common="news.example")
CHAIN = certificate(key_of(), common="An authority")
SITES = """
<VirtualHost *:443>
ServerName shop.example
ServerAlias www.shop.example *.shop.example
SSLCertificateFile /etc/ssl/shop.pem
SSLCertificateKeyFile /etc/ssl/shop.key
</VirtualHost>
<VirtualHost *:443>
ServerName news.example
SSLCertificateChainFile /etc/ssl/chain.pem
SSLCertificateFile /etc/ssl/news.pem
</VirtualHost>
"""


class Server:
    """One whose Apache has these sites; whether a front runs, and what that was told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[str] = []
        self.folder = folder
        self.kept = folder / "certificates"
        self.kept.mkdir()
        self.default = folder / "default.pem"
        self.socket = folder / "admin.sock"
        self.files = {
            "etc/apache2/apache2.conf": SITES,
            "etc/ssl/shop.pem": SHOP + CHAIN,
            "etc/ssl/shop.key": pem_of(KEY),
            "etc/ssl/news.pem": pem_of(OTHER) + NEWS,
            "etc/ssl/chain.pem": CHAIN,
        }
        monkeypatch.setattr(web_server, "here", lambda: web_server.APACHE)
        monkeypatch.setattr(copied_certificates, "Tree", self.tree)
        monkeypatch.setattr(copied_certificates, "all_accounts", list)
        for module in (certificates, copied_certificates):
            monkeypatch.setattr(module, "CERTIFICATES", self.kept)
            monkeypatch.setattr(module, "RUNTIME", folder)
        monkeypatch.setattr(copied_certificates, "DEFAULT", self.default)
        monkeypatch.setattr(copied_certificates, "_COPIED", folder / "copied.json")
        front = HAProxy(self.socket, "front")
        monkeypatch.setattr(HAProxy, "runs", lambda _front: self.socket.exists())
        monkeypatch.setattr(copied_certificates, "FRONT", front)
        monkeypatch.setattr(copied_certificates, "SHOWN", certificates.Shown(front))
        monkeypatch.setattr(HAProxy, "command", lambda _front, text: self.command(text))
        self.number = 0

    def tree(self) -> Tree:
        self.number += 1
        return laid(self.folder / str(self.number), "apache", **self.files)

    def command(self, text: str) -> str:
        self.told.append(text.split("<<")[0].strip())
        return "" if text.startswith("show") else "Success!"

    def names(self) -> list[str]:
        return sorted(path.stem for path in self.kept.iterdir())


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(tmp_path, monkeypatch)


def test_each_name_has_key_certificate_and_chain(server: Server) -> None:
    assert copied_certificates.copy() == []
    assert server.names() == ["news.example", "shop.example", "www.shop.example"] and server.told == []
    shop, news = ((server.kept / f"{name}.example.pem").read_text() for name in ("shop", "news"))
    assert [shop.index(each.strip()) for each in (pem_of(KEY), SHOP, CHAIN)] == sorted(
        shop.index(each.strip()) for each in (pem_of(KEY), SHOP, CHAIN)
    )
    assert news.index(NEWS.strip()) < news.index(CHAIN.strip()), "whatever the order in the configuration"
    assert server.default.read_text() == shop
    assert {path.stat().st_mode & 0o777 for path in (*server.kept.iterdir(), server.default)} == {0o600}


def test_one_that_was_renewed_is_shown_at_once_and_others_are_left_alone(server: Server) -> None:
    copied_certificates.copy()
    server.socket.touch()
    assert copied_certificates.copy() == [] and server.told == []
    server.files["etc/ssl/news.pem"] = pem_of(OTHER) + (renewed := certificate(OTHER, "news.example"))
    assert copied_certificates.copy() == []
    assert renewed.strip() in (server.kept / "news.example.pem").read_text()
    assert {text.split("/")[-1] for text in server.told if text.startswith("commit")} == {"news.example.pem"}


def test_what_no_site_and_no_account_has_any_more_goes(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    (server.kept / "test.example.pem").write_text("given by other ways")
    copied_certificates.copy()
    assert server.names() == ["news.example", "shop.example", "test.example", "www.shop.example"]
    server.files["etc/apache2/apache2.conf"] = SITES[: SITES.index("<VirtualHost *:443>\nServerName news")]
    monkeypatch.setattr(copied_certificates, "all_accounts", lambda: [SimpleNamespace(domains=["news.example"])])
    assert copied_certificates.copy() == [] and "news.example" in server.names()
    (server.folder / "copied.json").write_text('["news.example", "shop.example", "www.shop.example"]')
    monkeypatch.setattr(copied_certificates, "all_accounts", list)
    assert copied_certificates.copy() == []
    assert server.names() == ["shop.example", "test.example", "www.shop.example"]


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"etc/ssl/shop.key": pem_of(OTHER)}, "They are no key without a password, with its certificate."),
        ({"etc/ssl/shop.key": pem_of(KEY, b"secret")}, "They are no key without a password"),
        ({"etc/ssl/shop.pem": "nothing"}, "They are no key"),
    ],
)
def test_what_cannot_be_copied_is_told_and_what_was_stays(server: Server, files: dict[str, str], why: str) -> None:
    copied_certificates.copy()
    before = (server.kept / "shop.example.pem").read_text()
    server.files |= files
    (sentence,) = copied_certificates.copy()
    assert "/etc/apache2/apache2.conf:2" in sentence and "shop.example" in sentence and why in sentence
    assert (server.kept / "shop.example.pem").read_text() == before and "shop.example" in server.names()


def test_what_the_front_does_not_take_is_not_kept(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.socket.touch()
    monkeypatch.setattr(
        certificates.Shown, "load", lambda _shown, domain, _pem: refuse("bad_certificate", f"{domain} is not taken.")
    )
    assert copied_certificates.copy() == [f"{name} is not taken." for name in ("shop.example", "www.shop.example")] + [
        "news.example is not taken."
    ]
    assert server.names() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_a_customer_could_have_put_there_is_not_read(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def tree() -> Tree:
        made = laid(server.folder / "theirs", "apache", **server.files)
        os.chown(made.on_disk("/etc/ssl/shop.key"), 1001, 1001)
        return made

    monkeypatch.setattr(copied_certificates, "Tree", tree)
    (sentence,) = copied_certificates.copy()
    assert "the user with number 1001" in sentence and "make it root's alone" in sentence
    assert server.names() == ["news.example"]


def test_a_server_without_any_gets_one_of_its_own(server: Server) -> None:
    server.files["etc/apache2/apache2.conf"] = "<VirtualHost *:80>\nServerName shop.example\n</VirtualHost>\n"
    assert copied_certificates.copy() == []
    made = server.default.read_text()
    assert certificates.is_pair(made) and copied_certificates.copy() == [] and server.default.read_text() == made
