"""What the agent writes for HAProxy, nginx, PHP, Postfix, Dovecot and sshd follows an account's state."""

import pytest

from include.agent.account.accounts import Account, State
from include.agent.channel import pairing
from include.agent.host import entrance
from include.agent.host.system import AGENT, Refused
from include.agent.layouts import forward, mail_tables
from include.agent.layouts.native import front, mail, php
from tests.support.account_files import FILE

ALICE = Account.from_json(FILE)
PEER = "10.20.0.21"

SERVING = State("serving", 1)
HELD = State("held", 2)
COMMITTED = State("moved", 2, to=PEER)
MOVED = State("moved", 2, to=PEER, released=True)
RECEIVING = State("receiving", 2)
COMING_BACK = State("receiving", 3, to=PEER)


@pytest.mark.parametrize(
    ("state", "web", "post"),
    [
        (State(), "closed", "later"),
        (SERVING, "serve", "here"),
        (HELD, "hold", "later"),
        (COMMITTED, "hold", "later"),
        (MOVED, PEER, PEER),
        (RECEIVING, "closed", "later"),
        (COMING_BACK, PEER, PEER),
    ],
)
def test_visitors_and_mail_go_where_the_state_says(state: State, web: str, post: str) -> None:
    assert front.entry(state) == web
    assert mail.route(state) == post


def test_serving_mail_is_delivered_here() -> None:
    tables = mail.tables([(ALICE, SERVING)])
    assert tables["domains"] == "alice.example alice\n"
    assert tables["mailboxes"] == "info@alice.example alice\n"
    assert tables["transport"] == tables["access"] == ""
    home = "/home/alice/mail/alice.example/info"
    assert tables["passwd"] == f"info@alice.example:{{SHA512-CRYPT}}$6$salt$hash:2001:2001::{home}::\n"


def test_held_mail_is_asked_to_come_again() -> None:
    tables = mail.tables([(ALICE, HELD)])
    assert tables["access"].startswith("alice.example 450 4.2.1 ")
    assert tables["transport"].startswith("alice.example retry:4.2.1 ")
    assert "proxy=y host=127.0.0.1 port=9" in tables["passwd"]


def test_moved_mail_goes_to_the_other_server_and_passwords_are_checked_there() -> None:
    tables = mail.tables([(ALICE, MOVED)])
    assert tables["access"] == ""
    assert tables["transport"] == f"alice.example smtp:[{PEER}]:25\n"
    assert f"nopassword=y proxy=y host={PEER}" in tables["passwd"]
    assert "$6$" not in tables["passwd"]
    assert (
        "smtp:[ipv6:fd00::1]:25" in mail.tables([(ALICE, State("moved", 2, to="fd00::1", released=True))])["transport"]
    )


def test_every_line_of_the_mail_tables_is_of_one_account() -> None:
    for name, content in mail.tables([(ALICE, SERVING)]).items():
        for line in content.splitlines():
            assert line.count(":") == 7 if name == "passwd" else len(line.split(" ", 1)) == 2


def test_nginx_serves_the_sites_names_through_the_accounts_php() -> None:
    block = front.server_block(ALICE)
    assert "server_name alice.example www.alice.example;" in block
    assert "root /home/alice/public_html;" in block
    assert "fastcgi_pass unix:/run/transhumance-gate/alice.sock;" in block
    assert "alice.app" not in block
    assert block.count("{") == block.count("}")


def test_names_of_databases_reach_no_configuration() -> None:
    rendered = front.server_block(ALICE) + php.pool(ALICE) + "".join(mail.tables([(ALICE, HELD)]).values())
    for name in ('q"uote', "sp ace", "$(id)", ";drop", "`x`"):
        assert name not in rendered


def test_php_runs_in_a_pool_of_the_account() -> None:
    pool = php.pool(ALICE)
    assert "[alice]" in pool
    assert "listen = /run/transhumance-web/alice.php" in pool


def test_an_app_gets_its_path_and_nothing_else() -> None:
    site = {**FILE["sites"][0], "app": "/live"}
    account = Account.from_json({**FILE, "sites": [site]})
    assert account.to_json()["sites"] == [site]
    assert (
        "location ^~ /live {\n        proxy_pass http://unix:/run/transhumance-gate/alice.app;"
        in front.server_block(account)
    )


def test_an_app_may_be_the_whole_site() -> None:
    account = Account.from_json({**FILE, "sites": [{**FILE["sites"][0], "app": "/"}]})
    block = front.server_block(account)
    assert "location ^~ / {\n        proxy_pass http://unix:/run/transhumance-gate/alice.app;" in block
    assert "location / {" not in block and "location / {" in front.server_block(ALICE)


def test_a_hold_waits_for_requests_that_cannot_be_begun_again(monkeypatch) -> None:
    def waited_for(connections: int, *requests: tuple[str, float]) -> list[str]:
        monkeypatch.setattr(php.Requests, "busy", lambda _: [{"method": m, "seconds": s} for m, s in requests])
        monkeypatch.setattr(php, "under_way", lambda _: connections)
        return [request["method"] for request in php.Requests(ALICE)._waited_for()]

    assert waited_for(0) == []
    assert waited_for(2, ("GET", 30.0), ("POST", 0.1)) == ["POST"]
    assert waited_for(1, ("GET", 0.1)) == ["GET"]
    assert waited_for(1, ("HEAD", 30.0), (php.APP, 9.0), (php.APP, 0.1)) == [php.APP]
    assert waited_for(1) == [php.UNKNOWN], "PHP has it, and does not tell yet what it is"
    assert waited_for(3, ("GET", 30.0), (php.APP, 9.0)) == [php.UNKNOWN, php.UNKNOWN]
    assert waited_for(1, ("GET", 30.0), ("GET", 40.0)) == ["GET", "GET"], "one of them has its answer already"


def test_the_front_tells_what_it_passed_on() -> None:
    answer = "# table: forwarded, type: string, size:102400, used:2\n" + "".join(
        f"0x563a: key={key} use=0 exp={left} shard=0 gpc0={count}\n"
        for key, left, count in (("alice/http", 24 * 86400_000 - 5000, 70), ("bob/ssh", 1000, 2))
    )
    counted, rows = forward._of_the_front(answer, 1_000_000.0)
    assert counted == {"alice/http": 70, "bob/ssh": 2}
    assert rows["alice", "http"] == (70, 999_995.0)


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("A1: to=<info@alice.example>, relay=10.20.0.21[10.20.0.21]:25, delay=1, status=sent (250 Ok)", "smtp"),
        ("A1: to=<info@alice.example>, relay=10.20.0.21[10.20.0.21]:25, delay=1, status=deferred (450)", None),
        ("A1: to=<info@bob.example>, relay=10.20.0.21[10.20.0.21]:25, delay=1, status=sent (250 Ok)", None),
        ("A1: to=<info@alice.example>, relay=private/dovecot-lmtp, delay=1, status=sent (250 Saved)", None),
        (
            "imap-login: proxy(info@alice.example,10.20.0.21:143): Started proxying to <10.20.0.21> (0.025 secs): "
            "user=<info@alice.example>, method=PLAIN, rip=10.20.0.2",
            "imap",
        ),
        (
            "imap-login: Info: proxy(info@alice.example,10.20.0.21:143): Disconnected by client: "
            "user=<info@alice.example>",
            None,
        ),
    ],
)
def test_the_mail_servers_tell_what_they_passed_on(message: str, found: str | None) -> None:
    entry = {"MESSAGE": message, "__REALTIME_TIMESTAMP": "1700000000000000"}
    expected = [("alice", found, 1_700_000_000.0)] if found else []
    assert forward._of_the_mail([entry, {"MESSAGE": [1, 2]}], [(ALICE, MOVED)]) == expected


def test_sums_go_on_when_the_front_is_restarted() -> None:
    sums: dict = {"alice": {}}
    forward._add(sums, "alice", "http", 3, 10.0)
    forward._add(sums, "alice", "http", 0, 99.0)
    forward._add(sums, "alice", "http", 2, 20.4)
    forward._add(sums, "bob", "http", 2, 20.0)
    assert sums == {"alice": {"http": {"count": 5, "last": 20}}}


def test_a_map_as_haproxy_shows_it() -> None:
    shown = "0x55d1 alice serve\n0x55d2 bob 10.20.0.21\n"
    assert front.parse_map(shown) == {"alice": "serve", "bob": PEER}
    assert front.parse_map("") == {}


@pytest.mark.parametrize(("version", "word"), [("2.3", "ssl_cert = <"), ("2.4", "ssl_server_cert_file = ")])
def test_dovecots_certificates_in_the_words_of_its_version(tmp_path, version: str, word: str) -> None:
    (tmp_path / "alice.example.pem").write_text("pem")
    settings = mail_tables.certificate_settings([ALICE], version, tmp_path)
    assert "local_name alice.example {" in settings
    assert f"{word}{tmp_path}/alice.example.pem" in settings
    assert "www.alice.example" not in settings


KEY = "ssh-ed25519 " + "A" * 68
OTHERS = b"# C\xf4t\xe9 h\xf4te\r\n\n  \nssh-rsa AAAA== caf\xe9"
"""What a host's own keys may look like: other encodings and ends of lines, none at the end."""


def test_a_peers_key_opens_one_door_from_one_address() -> None:
    """`restrict` takes every forwarding, and nothing gives one back."""
    line = pairing.authorized_line("m1", PEER, KEY)
    assert line == (f'restrict,from="{PEER}",command="/usr/bin/python3 {AGENT} peer m1" {KEY} transhumance-move:m1')


def test_keys_of_other_moves_stay(tmp_path, monkeypatch) -> None:
    keys = tmp_path / "authorized_keys"
    keys.write_bytes(f"{KEY} ops\n".encode() + OTHERS)
    keys.chmod(0o640)
    monkeypatch.setattr(entrance, "KEYS", str(keys))
    monkeypatch.setattr(entrance, "LOCK", str(tmp_path / "run" / "lock"))
    monkeypatch.setattr(pairing, "STATE", tmp_path)
    monkeypatch.setattr(pairing, "RUNTIME", tmp_path / "run")
    monkeypatch.setattr(pairing, "host_keys", lambda: [KEY])
    monkeypatch.setattr(pairing, "run", lambda *_argv, **_more: None)
    for move in ("m1", "m10", "m1"):
        pairing.admit(move, "alice", PEER, KEY)
    before = f"{KEY} ops\n".encode() + OTHERS + b"\n"
    added = keys.read_bytes().removeprefix(before)
    assert [line.split()[-1] for line in added.splitlines()] == [b"transhumance-move:m10", b"transhumance-move:m1"]
    pairing.forget("m1")
    assert keys.read_bytes().removeprefix(before).split()[-1] == b"transhumance-move:m10"
    pairing.forget("m10")
    assert keys.read_bytes() == before and keys.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("key", ["", None, "ssh-ed25519", KEY + "\nssh-ed25519 " + "B" * 68, 'x",command="id" ' + KEY])
def test_what_is_no_key_is_not_admitted(tmp_path, monkeypatch, key) -> None:
    monkeypatch.setattr(pairing, "STATE", tmp_path)
    with pytest.raises(Refused):
        pairing.admit("m1", "alice", PEER, key)


@pytest.mark.parametrize("address", ["", None, "10.20.0.21\n", "*", "10.0.0.0/8", "host"])
def test_what_is_no_address_is_not_admitted(tmp_path, monkeypatch, address) -> None:
    monkeypatch.setattr(pairing, "STATE", tmp_path)
    with pytest.raises(Refused):
        pairing.admit("m1", "alice", address, KEY)
