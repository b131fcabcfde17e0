"""Extras go from one server to another: read there, judged, installed here; and away again, with nothing left."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from include.agent.account import accounts
from include.agent.account.accounts import Account
from include.agent.host.codec import decode, plain
from include.agent.host.system import Refused, refuse
from include.agent.layouts.classic import extras, services
from include.agent.verbs.extras import Extra

from .ordinary_files import KEY, RENEWS, WORDPRESS, logs, pool

LIVE = "/etc/letsencrypt/live/shop.example"
PATHS = (
    "/etc/apache2/sites-enabled/shop.example.conf",
    "/etc/apache2/htpasswd/shop.example",
    "/etc/php/7.4/fpm/pool.d/web1.conf",
    "/etc/logrotate.d/web1",
    "/etc/letsencrypt/renewal/shop.example.conf",
    f"{LIVE}/fullchain.pem",
    f"{LIVE}/privkey.pem",
)
WEB1 = Account.from_json(
    {
        "account": "web1",
        "uid": 5001,
        "gid": 5001,
        "home": "/var/www/clients/client1/web1",
        "sites": [{"domain": "shop.example", "aliases": ["www.shop.example"], "root": None}],
        "extras": [*PATHS],
    }
)
CERTIFICATE = KEY.replace("PRIVATE KEY", "CERTIFICATE")
FILES = {
    "etc/apache2/sites-available/shop.example.conf": WORDPRESS,
    "etc/apache2/htpasswd/shop.example": "anna:$apr1$x$y\n",
    "etc/php/7.4/fpm/pool.d/web1.conf": pool(""),
    "etc/logrotate.d/web1": logs(""),
    "etc/letsencrypt/renewal/shop.example.conf": RENEWS.replace("authenticator", "account = 0123abc\nauthenticator"),
    "etc/letsencrypt/archive/shop.example/fullchain3.pem": CERTIFICATE,
    "etc/letsencrypt/archive/shop.example/privkey3.pem": KEY,
}
LINKS = {
    "etc/apache2/sites-enabled/shop.example.conf": "../sites-available/shop.example.conf",
    "etc/letsencrypt/live/shop.example/fullchain.pem": "../../archive/shop.example/fullchain3.pem",
    "etc/letsencrypt/live/shop.example/privkey.pem": "../../archive/shop.example/privkey3.pem",
}
FOLDERS = (
    "etc/apache2/sites-available",
    "etc/apache2/sites-enabled",
    "etc/apache2/htpasswd",
    "etc/letsencrypt/archive",
    "etc/letsencrypt/live",
    "etc/letsencrypt/renewal",
    "etc/logrotate.d",
    "etc/php/8.2/fpm/pool.d",
    "var/log/apache2",
)
Server = Callable[[str], Path]


@pytest.fixture
def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Be on one of the servers: `old`, which has the files, or `new`, which has the folders."""
    os.umask(0o022)
    for path, text in FILES.items():
        (tmp_path / "old" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "old" / path).write_text(text)
    for path, target in LINKS.items():
        (tmp_path / "old" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "old" / path).symlink_to(target)
    for path in FOLDERS:
        (tmp_path / "new" / path).mkdir(parents=True)
    (tmp_path / "new/etc/apache2/apache2.conf").write_text("IncludeOptional sites-enabled/*.conf\n")

    def be_on(name: str) -> Path:
        monkeypatch.setattr(extras, "ROOT", tmp_path / name)
        monkeypatch.setattr(accounts, "STATE", tmp_path / name / "state")
        monkeypatch.setattr(extras, "RUNTIME", tmp_path / name / "run")
        return tmp_path / name

    return be_on


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the services are asked and told."""
    told: list[str] = []

    def run(argv: list[str], **_: Any) -> Any:
        told.append(" ".join(argv))
        return type("Done", (), {"returncode": 0, "stdout": b"", "stderr": b""})

    monkeypatch.setattr(services, "run", run)
    return told


def sent(on: Server) -> list[Extra]:
    """What comes over from the old server, as it arrives."""
    on("old")
    extras.adopt(WEB1)
    assert extras.unfit(WEB1) == []
    return [decode(Extra, plain(extra)) for extra in extras.read(WEB1)]


def content(root: Path) -> dict[str, Any]:
    """Everything on a server but what is the agent's own."""
    found: dict[str, Any] = {}
    for folder in ("etc", "var"):
        for path in (root / folder).rglob("*"):
            name = str(path.relative_to(root))
            found[name] = os.readlink(path) if path.is_symlink() else path.is_dir() or path.read_text()
    return found


def test_what_comes_is_what_was_there(on: Server, told: list[str]) -> None:
    extra = sent(on)
    new = on("new")
    before = content(new)
    extras.install(WEB1, extra)
    assert extras.read(WEB1) == extra and [each.path for each in extra] == [*PATHS]
    assert told == [
        "apache2ctl configtest",
        "php-fpm8.2 --fpm-config /etc/php/8.2/fpm/php-fpm.conf -t",
        "systemctl reload-or-restart apache2.service php8.2-fpm.service",
    ]
    # A pool of a version that this server lacks lies under the one that it has; its socket stays.
    assert (new / "etc/php/8.2/fpm/pool.d/web1.conf").read_text() == pool("")
    assert (new / LINKS_AT).resolve() == new / "etc/apache2/sites-available/shop.example.conf"
    assert "account" not in (new / "etc/letsencrypt/renewal/shop.example.conf").read_text()
    assert (new / "etc/letsencrypt/archive/shop.example/privkey3.pem").stat().st_mode & 0o777 == 0o600
    assert extras.sockets(WEB1) == ["/run/php/web1.sock"]
    assert "/etc/php/8.2/fpm/pool.d/web1.conf" in extras.paths(WEB1)

    extras.install(WEB1, extra)
    assert len(told) == 3, "the same again changes nothing"
    extras.remove(WEB1)
    assert content(new) == before


LINKS_AT = "etc/apache2/sites-enabled/shop.example.conf"


def test_what_was_renewed_here_goes_with_the_account(on: Server, told: list[str]) -> None:
    extra = sent(on)
    new = on("new")
    before = content(new)
    extras.install(WEB1, extra)
    live = new / "etc/letsencrypt/live/shop.example/privkey.pem"
    (new / "etc/letsencrypt/archive/shop.example/privkey4.pem").write_text(KEY)
    live.unlink()
    live.symlink_to("../../archive/shop.example/privkey4.pem")
    assert [each.leads_to for each in extras.read(WEB1)][-1] == "/etc/letsencrypt/archive/shop.example/privkey4.pem"
    extras.remove(WEB1)
    assert content(new) == before


def test_a_changed_or_missing_file_is_taken_over(on: Server, told: list[str]) -> None:
    extra = sent(on)
    new = on("new")
    extras.install(WEB1, extra)
    told.clear()
    less = [replace(each, text=each.text + "# more\n") for each in extra if each.path == PATHS[0]]
    less += [each for each in extra if each.path in PATHS[1:3]]
    extras.install(WEB1, less)
    assert (new / "etc/apache2/sites-available/shop.example.conf").read_text() == WORDPRESS + "# more\n"
    assert not (new / "etc/logrotate.d/web1").exists() and not (new / "etc/letsencrypt/live/shop.example").exists()
    assert told == ["apache2ctl configtest", "systemctl reload-or-restart apache2.service"]


def test_a_site_that_the_web_server_would_not_read_is_refused(on: Server, told: list[str]) -> None:
    extra = sent(on)
    new = on("new")
    (new / "etc/apache2/apache2.conf").write_text("IncludeOptional sites-enabled/*.vhost\n")
    before = content(new)
    with pytest.raises(Refused, match="does not read /etc/apache2/sites-enabled/shop.example.conf; give it a name"):
        extras.install(WEB1, extra)
    assert {**content(new), **before} == content(new) and told == []
    assert not (new / "etc/logrotate.d/web1").exists()


@pytest.mark.parametrize("taken", ["etc/apache2/sites-available/shop.example.conf", LINKS_AT, "etc/logrotate.d/web1"])
def test_nothing_takes_the_place_of_what_is_there(on: Server, told: list[str], taken: str) -> None:
    extra = sent(on)
    new = on("new")
    (new / taken).write_text("the host's\n")
    before = content(new)
    with pytest.raises(Refused, match="is on this server already, and not web1's") as refused:
        extras.install(WEB1, extra)
    assert refused.value.code == "extra_taken" and content(new) == before and told == []


@pytest.mark.parametrize(
    "other", ["[WEB1]\nuser = bob\nlisten = /run/php/bob.sock\n", "[bob]\nuser = bob\nlisten = /run/php/$pool.sock\n"]
)
def test_no_pool_joins_a_neighbours(on: Server, told: list[str], other: str) -> None:
    extra = sent(on)
    new = on("new")
    (new / "etc/php/8.2/fpm/pool.d/a.conf").write_text(other.replace("$pool", "web1"))
    with pytest.raises(Refused, match="has the name or socket"):
        extras.install(WEB1, extra)


def test_what_a_service_does_not_take_is_taken_away_again(on: Server, told: list[str], monkeypatch: Any) -> None:
    extra = sent(on)
    new = on("new")
    extras.install(WEB1, [each for each in extra if each.path in PATHS[:3]])
    before = content(new)
    failed = type("Done", (), {"returncode": 1, "stdout": b"", "stderr": b"AH00526: Syntax error on line 3:\nx\n"})
    monkeypatch.setattr(services, "run", lambda argv, **_: failed)
    with pytest.raises(Refused, match="does not take the files of web1 .AH00526: Syntax error on line 3:") as refused:
        extras.install(WEB1, [replace(each, text=each.text + "\n") for each in extra])
    assert refused.value.code == "extras_not_taken"
    assert {path: text for path, text in content(new).items() if not path.startswith("var/log")} == {
        path: text for path, text in before.items() if not path.startswith("var/log")
    }
    assert {*extras.paths(WEB1)} - {*PATHS} == {
        "/etc/apache2/sites-available/shop.example.conf",
        "/etc/php/8.2/fpm/pool.d/web1.conf",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"path": "/etc/cron.d/web1"},
        {"path": "/etc/apache2/conf-enabled/web1.conf"},
        {"path": "/etc/logrotate.d/web1-more"},
        {"path": "/etc/letsencrypt/renewal/neighbour.example.conf"},
        {"leads_to": "/etc/cron.d/web1"},
        {"leads_to": "/etc/apache2/sites-available/../../cron.d/web1"},
        {"leads_to": "/etc/apache2/conf-available/shop.example.conf"},
        {"leads_to": "/etc/nginx/sites-available/shop.example.conf"},
        {"text": "<VirtualHost *:80>\nInclude /etc/shadow\n</VirtualHost>\n"},
    ],
)
def test_what_a_server_that_was_taken_over_sends_is_refused(
    on: Server, told: list[str], change: dict[str, str]
) -> None:
    extra = sent(on)
    new = on("new")
    before = content(new)
    with pytest.raises(Refused) as refused:
        extras.install(WEB1, [replace(extra[0], **change), *extra[1:]])
    assert refused.value.code == "bad_extra" and content(new) == before and told == []


def test_no_link_on_the_way_is_followed(on: Server, told: list[str], tmp_path: Path) -> None:
    extra = sent(on)
    new = on("new")
    (new / "etc/logrotate.d").rmdir()
    (new / "etc/logrotate.d").symlink_to(tmp_path)
    with pytest.raises(Refused, match="without links on the way to it"):
        extras.install(WEB1, extra)
    assert not (tmp_path / "web1").exists() and content(new).get("etc/apache2/htpasswd/shop.example") is None


def test_a_test_gets_what_shows_the_sites_alone(on: Server, told: list[str]) -> None:
    on("old")
    assert {*PATHS} - {extra.path for extra in extras.read(WEB1, only_for_tests=True)} == {
        "/etc/logrotate.d/web1",
        "/etc/letsencrypt/renewal/shop.example.conf",
    }


def test_the_originals_keys_do_not_go_into_a_test(on: Server, told: list[str], tmp_path: Path) -> None:
    sent(on)
    extra = extras.read(WEB1, only_for_tests=True)
    chain, key = (each.text for each in extra if each.path.startswith(LIVE))
    assert KEY.splitlines()[1] not in chain + key and extras.judged(WEB1, extra) == []
    (tmp_path / "pair.pem").write_text(key + chain)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "pair.pem")


def test_an_extra_that_a_customer_could_change_is_not_read(on: Server) -> None:
    old = on("old")
    os.chown(old / "etc/logrotate.d/web1", 5001, 5001)
    with pytest.raises(Refused, match="could not be read .*5001") as refused:
        extras.read(WEB1)
    assert refused.value.code == "extra_unread"


def test_a_sieve_script_and_its_link_go_over(on: Server, told: list[str]) -> None:
    account = Account.from_json(
        {
            **WEB1.to_json(),
            "mail": {"domains": ["shop.example"]},
            "extras": [f"/var/vmail/shop.example/info/{name}" for name in (".dovecot.sieve", "sieve/a.sieve")],
        }
    )
    old = on("old") / "var/vmail/shop.example/info"
    (old / "sieve").mkdir(parents=True)
    (old / "sieve/a.sieve").write_text("keep;\n")
    (old / ".dovecot.sieve").symlink_to("sieve/a.sieve")
    for path in (old, old / "sieve", old / "sieve/a.sieve"):
        os.chown(path, 5000, 5000)
    extra = extras.read(account)
    assert [each.leads_to for each in extra] == ["/var/vmail/shop.example/info/sieve/a.sieve", None]
    new = on("new")
    (new / "var/vmail").mkdir()
    extras.install(account, extra)
    assert extras.read(account) == extra
    (old / ".dovecot.sieve").unlink()
    (old / ".dovecot.sieve").symlink_to("/etc/shadow")
    on("old")
    with pytest.raises(Refused, match="could not be read"):
        extras.read(account)


def test_mail_is_signed_by_a_key_that_came(on: Server, told: list[str]) -> None:
    key = "/etc/opendkim/keys/shop.example/mail.private"
    account = replace(WEB1, extras=(key,))
    on("old")
    new = on("new")
    (new / "etc/opendkim/keys").mkdir(parents=True)
    (new / "etc/opendkim.conf").write_text(
        "Mode sv\nKeyTable /etc/opendkim/key.table\nSigningTable refile:/etc/opendkim/signing.table\n"
    )
    (new / "etc/opendkim/key.table").write_text("")
    (new / "etc/opendkim/signing.table").write_text("*@b.example mail._domainkey.b.example")
    (new / "etc/opendkim/key.table").chmod(0o640)
    before = content(new)
    for _ in range(2):
        extras.install(account, [Extra(path=key, text=KEY)])
    assert (new / "etc/opendkim/key.table").read_text() == f"mail._domainkey.shop.example shop.example:mail:{key}\n"
    assert (new / "etc/opendkim/signing.table").read_text() == (
        "*@b.example mail._domainkey.b.example\n*@shop.example mail._domainkey.shop.example\n"
    )
    assert (new / "etc/opendkim/key.table").stat().st_mode & 0o777 == 0o640
    assert told == ["systemctl reload-or-restart opendkim.service"]
    extras.remove(account)
    before["etc/opendkim/signing.table"] += "\n"
    assert content(new) == before


def test_a_link_to_the_home_goes_over_and_the_home_stays(on: Server, told: list[str]) -> None:
    link = "/var/www/shop.example"
    account = replace(WEB1, extras=(link,))
    old, new = on("old"), on("new")
    for root in (old, new):
        (root / WEB1.home[1:]).mkdir(parents=True)
    (old / link[1:]).symlink_to("clients/client1/web1/")
    on("old")
    extra = extras.read(account)
    assert extra == [Extra(path=link, text="", leads_to=WEB1.home)] and extras.unfit(account) == []
    on("new")
    for _ in range(2):
        extras.install(account, extra)
    assert (new / link[1:]).resolve() == new / WEB1.home[1:] and extras.read(account) == extra
    for leads_to in ("/etc", f"{WEB1.home}/../web2", None):
        with pytest.raises(Refused):
            extras.install(account, [replace(extra[0], leads_to=leads_to, text="" if leads_to else "x")])
    extras.remove(account)
    assert not os.path.lexists(new / link[1:]) and (new / WEB1.home[1:]).is_dir()


def test_a_service_that_was_not_told_is_told_the_next_time(on: Server, told: list[str], monkeypatch: Any) -> None:
    extra = sent(on)
    on("new")
    with monkeypatch.context() as broken:
        broken.setattr(services, "reload", lambda _: refuse("command_failed", "It does not answer."))
        with pytest.raises(Refused):
            extras.install(WEB1, extra)
    told.clear()
    for _ in range(2):
        extras.install(WEB1, extra)
    assert told[2:] == ["systemctl reload-or-restart apache2.service php8.2-fpm.service"]


def test_a_pool_goes_where_its_own_version_is_once_that_is_there(on: Server, told: list[str]) -> None:
    extra = sent(on)
    new = on("new")
    extras.install(WEB1, extra)
    told.clear()
    (new / "etc/php/7.4/fpm/pool.d").mkdir(parents=True)
    extras.install(WEB1, extra)
    assert (new / "etc/php/7.4/fpm/pool.d/web1.conf").exists() and not (
        new / "etc/php/8.2/fpm/pool.d/web1.conf"
    ).exists()
    assert told[-1] == "systemctl reload-or-restart php7.4-fpm.service php8.2-fpm.service"


def test_pools_that_the_host_has_made_are_shut_too(on: Server) -> None:
    """No extra names them: they are found by whom they run as."""
    new = on("new")
    account = replace(WEB1, extras=(), provisioned=True)
    folder = new / "etc/php/8.2/fpm"
    (folder / "php-fpm.conf").write_text("[global]\ninclude=/etc/php/8.2/fpm/pool.d/*.conf\n")
    for name, user, listen in (
        ("panel1", WEB1.name, "/run/php/$pool.sock"),
        ("panel2", str(WEB1.uid), "127.0.0.1:9001"),
        ("panel3", "web2", "/run/php/web2.sock"),
    ):
        (folder / f"pool.d/{name}.conf").write_text(f"[{name}]\nuser = {user}\nlisten = {listen}\n")
    assert extras.sockets(account) == ["/run/php/panel1.sock"]
    (sentence,) = extras.unfit(account)
    assert "listens at 127.0.0.1:9001, where it cannot be shut" in sentence
    assert (
        extras.sockets(replace(account, provisioned=False)) == [] == extras.unfit(replace(account, provisioned=False))
    )
