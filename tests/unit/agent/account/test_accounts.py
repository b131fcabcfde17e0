"""The account file is checked to the last value, and states change only as the table allows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from include.agent.account import accounts
from include.agent.account.accounts import Account, State
from include.agent.host.system import Refused
from tests.support.account_files import FILE, HOSTILE, changed


def test_account_file_comes_back_as_it_was() -> None:
    assert Account.from_json(FILE).to_json() == FILE
    ports = {"mariadb": 20002, "ssh": 20001}
    assert Account.from_json(changed(ports=ports)).to_json() == changed(ports=ports)
    assert Account.from_json(json.loads(json.dumps(FILE))).postgresql_roles == tuple(HOSTILE)


SITE = {"domain": "alice.example", "aliases": [], "root": "public_html"}
HASH = "{SHA512-CRYPT}$6$salt$hash"


@pytest.mark.parametrize(
    "values",
    [
        {"account": "Alice"},
        {"account": "../x"},
        {"account": "a" * 33},
        {"account": "alice\n"},
        {"account": "root"},
        {"account": "www-data"},
        {"account": None},
        {"uid": 0},
        {"uid": "2001"},
        {"uid": True},
        {"gid": 65534},
        {"home": "/root"},
        *(
            {"home": home}
            for home in (
                *("/", "/home", "/home/", "/home/alice/", "//home/alice", "/home/./alice", "/home/a b", "/home/a;b"),
                *("/etc/alice", "/usr/local/alice", "/var/lib/alice", "/var/spool/a", "/root/a", "/proc/1", "/run/a/b"),
                *(
                    "/tmp/alice",
                    "/dev/shm/alice",
                    "/mnt/alice",
                    "/old/alice",
                    "/opt/alice",
                    "/home/.alice",
                    "home/alice",
                ),
                *("/home/" + "a" * 95, "/var/www", "/home/a\n", "/home/$x", "/home/\udcff"),
            )
        ),
        {"uid": 65535},
        {"uid": 61184},
        {"uid": 1 << 31},
        {"shell": "/home/alice/sh"},
        {"shell": "bash"},
        {"shell": "/bin/../home/sh"},
        {"home": "/home/alice/../bob"},
        {"home": None},
        {"shell": "/bin/bash\n"},
        {"sites": {}},
        {"sites": [{**SITE, "domain": "alice.example;"}]},
        {"sites": [{**SITE, "domain": "alice.example\n"}]},
        {"sites": [{**SITE, "domain": "ALICE.example"}]},
        {"sites": [{**SITE, "domain": "-a.example"}]},
        {"sites": [{**SITE, "domain": "localhost"}]},
        {"sites": [{**SITE, "aliases": ["a b.example"]}]},
        *(
            {"sites": [{**SITE, "aliases": [alias]}]}
            for alias in (
                "*",
                "*.example",
                "*.bob.example",
                "*.*.alice.example",
                "x*.alice.example",
                "*.alice.example\n",
            )
        ),
        {"sites": [{**SITE, "domain": "*.alice.example"}]},
        {"sites": [{**SITE, "aliases": ["*.alice.example"] * 2}]},
        {"sites": [{**SITE, "root": "../bob"}]},
        {"sites": [{**SITE, "app": "live"}]},
        {"sites": [{**SITE, "app": "/live {"}]},
        *(
            {"extras": extras}
            for extras in (
                "/etc/a/b",
                ["etc/a/b"],
                ["/etc/a/../b"],
                ["/etc/a/./b"],
                ["/etc/a/*"],
                ["/etc/a/b\n"],
                ["/etc/a b"],
                ["/etc"],
                ["/etc/a/"],
                ["/etc/a/b", "/etc/a/b"],
                [f"/etc/a/{number}" for number in range(1001)],
                [7],
            )
        ),
        {"ports": {"http": 20001}},
        {"ports": {"ssh": 22}},
        {"ports": {"ssh": True}},
        {"ports": {"ssh": 20001, "mariadb": 20001}},
        {"ports": [20001]},
        {"sites": [{**SITE, "root": "/etc"}]},
        {"sites": [{**SITE, "root": "a;b"}]},
        {"sites": [{**SITE, "root": "a/../b"}]},
        {"sites": [SITE, SITE]},
        {"postgresql": {"roles": ["postgres"]}},
        {"postgresql": {"roles": ["pg_read_all_data"]}},
        {"postgresql": {"databases": ["template1"]}},
        {"postgresql": {"databases": ["a\0b"]}},
        {"postgresql": {"databases": [""]}},
        {"postgresql": {"databases": ["x" * 64]}},
        {"postgresql": []},
        {"mariadb": {"users": [{"user": "root", "host": "localhost"}]}},
        {"mariadb": {"users": ["alice"]}},
        {"mariadb": {"databases": ["mysql"]}},
        {"mariadb": {"databases": ["MySQL"]}},
        *({"postgresql": {kind: [name]}} for kind in ("roles", "databases") for name in ("th_read_bob", "TH_x", "th_")),
        *({"mariadb": {"databases": [name]}} for name in ("th_x", "Th_follow")),
        *({"mariadb": {"users": [{"user": name, "host": "%"}]}} for name in ("th_follow_bob", "tH_make_bob")),
        *({"mariadb": {"users": [{"user": "x", "host": host}]}} for host in ("y@host", "a'b", "a`b", 'a"b', "", 1)),
        {"mail": {"domains": ["x.example"], "mailboxes": [{"address": "a@y.example", "password_hash": HASH}]}},
        {"mail": {"domains": ["x.example"], "mailboxes": [{"address": "../a@x.example", "password_hash": HASH}]}},
        {"mail": {"domains": ["x.example"], "mailboxes": [{"address": "a..b@x.example", "password_hash": HASH}]}},
        {"mail": {"domains": ["x.example"], "mailboxes": [{"address": "a@x.example", "password_hash": "{X}a:b"}]}},
        {"mail": {"domains": ["x.example"], "mailboxes": [{"address": "a@x.example", "password_hash": "plain"}]}},
    ],
)
def test_wrong_account_file_is_refused_in_one_sentence(values) -> None:
    with pytest.raises(Refused) as refused:
        Account.from_json(changed(**values))
    assert refused.value.message.endswith(".") and "\n" not in refused.value.message


@pytest.mark.parametrize(
    "values",
    [
        *(
            {"home": home}
            for home in (
                *("/home/bob", "/home2/alice", "/var/www/clients/client1/web1", "/srv/www/alice.example"),
                *("/var/www/alice", "/data/home/alice", "/var/customers/webs/alice", "/opt/sites/a_1", "/HOME/Alice"),
            )
        ),
        {"uid": 70001, "gid": 70001},
        {"uid": 1_234_567_890},
        {"sites": [{**SITE, "root": None}]},
        {"extras": ["/etc/apache2/sites-enabled/100-a.example.vhost", "/var/vmail/a.example/info/.dovecot.sieve"]},
        *({"shell": shell} for shell in ("/usr/bin/zsh", "/bin/rbash", "/usr/sbin/jk_chrootsh", "/usr/local/bin/fish")),
    ],
)
def test_accounts_are_taken_as_hosts_have_them(values) -> None:
    assert Account.from_json(changed(**values)).to_json() == changed(**values)


def test_databases_that_move_alone_take_no_extras_along() -> None:
    account = Account.from_json(changed(extras=["/etc/logrotate.d/alice"]))
    assert account.part_of("postgresql").extras == ()


def test_a_hash_of_crypt_needs_no_scheme() -> None:
    box = {"address": "a@x.example", "password_hash": "$6$salt$hash"}
    account = Account.from_json(changed(mail={"domains": ["x.example"], "mailboxes": [box]}))
    assert account.mailboxes[0].password_hash == "{CRYPT}$6$salt$hash"


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(part)


def _whole() -> dict[str, Any]:
    """An account file with an object of every kind there is."""
    whole = changed(ports={"ssh": 20001})
    whole["mail"]["forwarders"] = [{"address": "@alice.example", "to": ["a@b.example"]}]
    return whole


@pytest.mark.parametrize("place", range(len([*_objects(_whole())])))
@pytest.mark.parametrize("key", ["quota_bytes", "aliases2", "Home", "", "new\nline"])
def test_no_key_is_dropped_wherever_it_stands(place: int, key: str) -> None:
    data = _whole()
    [*_objects(data)][place][key] = 1
    with pytest.raises(Refused, match="has the key .*, which this agent does not know") as refused:
        Account.from_json(data)
    assert refused.value.code == "bad_account_file" and refused.value.message.isprintable()


def test_what_has_every_kind_of_object_is_taken() -> None:
    assert Account.from_json(_whole()).to_json() == _whole()


def test_account_file_that_is_no_object_is_refused() -> None:
    nothing: tuple[Any, ...] = (None, [], "alice", 1)
    for data in nothing:
        with pytest.raises(Refused):
            Account.from_json(data)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(accounts, "STATE", tmp_path / "state")
    monkeypatch.setattr(accounts, "RUNTIME", tmp_path / "run")
    monkeypatch.setattr(accounts, "CONFIG", tmp_path / "etc")
    return tmp_path


def test_account_that_was_never_here_is_absent(host: Path) -> None:
    assert accounts.state_of("alice") == State()
    with pytest.raises(Refused, match="no account alice"):
        accounts.load("alice")


def test_account_file_is_roots_alone_and_found_again(host: Path) -> None:
    alice = Account.from_json(FILE)
    accounts.save(alice)
    assert accounts.load("alice") == alice
    assert accounts.all_accounts() == [alice]
    assert accounts.account_path("alice").stat().st_mode & 0o777 == 0o600


PATHS = [
    ["serving", "held", "serving"],
    ["serving", "held", "moved", "absent"],
    ["receiving", "serving"],
    ["receiving", "absent", "receiving"],
    ["serving", "held", "moved", "receiving", "serving"],
]


@pytest.mark.parametrize("path", PATHS)
def test_allowed_paths(host: Path, path: list[str]) -> None:
    for epoch, state in enumerate(path):
        accounts.put_state("alice", State(state, epoch))
    assert accounts.state_of("alice").state == path[-1]


@pytest.mark.parametrize("old", sorted(accounts.TRANSITIONS))
@pytest.mark.parametrize("new", sorted(accounts.TRANSITIONS))
def test_only_what_the_table_allows_happens(host: Path, old: str, new: str) -> None:
    directory = host / "state" / "accounts" / "alice"
    directory.mkdir(parents=True)
    (directory / "state.json").write_text(json.dumps(State(old, 3).to_json()))
    if new == old or new in accounts.TRANSITIONS[old]:
        accounts.put_state("alice", State(new, 3))
    else:
        with pytest.raises(Refused):
            accounts.put_state("alice", State(new, 3))
        assert accounts.state_of("alice").state == old


def test_a_moved_account_never_serves_again_by_itself() -> None:
    assert "serving" not in accounts.TRANSITIONS["moved"]
    assert "held" not in accounts.TRANSITIONS["moved"]


def test_epoch_only_grows(host: Path) -> None:
    accounts.put_state("alice", State("serving", 5))
    with pytest.raises(Refused) as refused:
        accounts.put_state("alice", State("held", 4))
    assert refused.value.code == "stale_epoch"
    accounts.put_state("alice", State("held", 6))


def test_damaged_state_is_no_state(host: Path) -> None:
    accounts.put_state("alice", State("serving", 5))
    (host / "state" / "accounts" / "alice" / "state.json").write_text("{")
    with pytest.raises(Refused) as refused:
        accounts.state_of("alice")
    assert refused.value.code == "damaged_file"


@pytest.mark.parametrize("move", ["", "-m1", "a b", "m1\n", "../m1", "m" * 65, None, 1])
def test_ids_of_moves_are_plain(move) -> None:
    with pytest.raises(Refused):
        accounts.check_move(move)


@pytest.mark.parametrize(
    "name", ["o'neil", "sales_", "_daemon", "r&d", "a.b-c", "-", "x" * 64, "Info", "a+b", "{x}", "a#b"]
)
def test_mailboxes_are_named_as_panels_allow_it(name: str) -> None:
    box = {"address": f"{name}@x.example", "password_hash": HASH}
    account = Account.from_json(changed(mail={"domains": ["x.example"], "mailboxes": [box]}))
    assert account.mailboxes[0].local_part == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a..b", ".a", "a.", "a/b", "a b", "#a", "a!b", 'a"b', "ä", "a%b", "a:b", "a\n", "x" * 65]
)
def test_other_mailboxes_are_refused_with_what_to_do(name: str) -> None:
    box = {"address": f"{name}@x.example", "password_hash": HASH}
    with pytest.raises(Refused, match="rename it .mail to .anything"):
        Account.from_json(changed(mail={"domains": ["x.example"], "mailboxes": [box]}))


def test_an_alias_may_stand_for_all_names_below_one_of_the_accounts_own() -> None:
    account = Account.from_json(changed(sites=[{**SITE, "aliases": ["*.alice.example", "www.alice.example"]}]))
    assert account.wildcards == ["*.alice.example"] and "*.alice.example" in account.hosts
    assert account.domains == ["alice.example", "www.alice.example"], "no certificate is kept by that name"
    assert account.sites[0].names == ("alice.example", "www.alice.example")
    assert Account.from_json(account.to_json()) == account


PLACE = "/var/vmail/alice.example/info"


@pytest.mark.parametrize(
    "more",
    [
        *(
            {"place": {"maildir": maildir}}
            for maildir in (
                "/var/vmail/bob.example/info",
                "/var/vmail/info",
                "/etc/alice.example/info",
                "/var/lib/mysql/alice.example",
                "/var/vmail/../etc/alice.example",
                "/var/vmail/alice.example/a b",
                "/var/vmail/alice.example/a:b",
                "/var/vmail/alice.example/%u",
                "/var/vmail/alice.example/$HOME",
                "/var/vmail/alice.example/a\n",
                "/var/v;m/alice.example/a",
                "/alice.example/info",
                "/messages/var/alice.example",
                "relative/alice.example",
                "/var/vmail/alice.example/" + "x" * 500,
                "/home",
                "/home/alice.example",
                7,
                None,
            )
        ),
        {"place": {"maildir": PLACE, "home": "/var/vmail/alice.example/other"}},
        {"place": {"maildir": PLACE, "home": "/var/vmail"}},
        {"place": {"maildir": PLACE, "layout": "index"}},
        {"place": {"maildir": PLACE, "uid": 0}},
        {"place": PLACE},
        {"quota": {}},
        {"quota": {"bytes": -1}},
        {"quota": {"bytes": True}},
        {"quota": {"bytes": 1 << 61}},
        {"quota": {"messages": "9"}},
        {"quota": {"files": 1}},
        {"quota": 5},
    ],
)
def test_a_mailbox_lies_in_a_folder_that_is_the_accounts_alone(more: dict[str, Any]) -> None:
    box = {"address": "info@alice.example", "password_hash": HASH, **more}
    home = "/home/alice.example/alice" if more.get("place") == {"maildir": "/home/alice.example"} else "/home/alice"
    with pytest.raises(Refused) as refused:
        Account.from_json(changed(home=home, mail={"domains": ["alice.example"], "mailboxes": [box]}))
    assert refused.value.message.isprintable() and len(refused.value.message) < 600


def test_the_folders_of_its_mailboxes_are_said_once() -> None:
    places = [f"/var/vmail/alice.example/{name}" for name in ("a", "b")]
    places += ["/srv/mail/c@alice.example/Maildir", "/home/alice/mail", "/var/vmail/alice.example/x/c@alice.example"]
    boxes = [
        {"address": f"{name}@alice.example", "password_hash": HASH, "place": {"maildir": place}}
        for name, place in zip("abcdc"[:4] + "e", places, strict=True)
    ]
    account = Account.from_json(changed(mail={"domains": ["alice.example"], "mailboxes": boxes}))
    assert account.mail_folders == ("/srv/mail/c@alice.example", "/var/vmail/alice.example")
    assert Account.from_json(account.to_json()) == account
    assert account.part_of("mariadb").mail_folders == ()
