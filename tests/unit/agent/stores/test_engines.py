"""The move of one engine's databases: what an account is without them, who is led to them, and that a commit lasts."""

from pathlib import Path
from typing import Any

import pytest

from include.agent import verbs
from include.agent.account import accounts
from include.agent.account.accounts import Account, State
from include.agent.host import system
from include.agent.host.codec import plain
from include.agent.host.system import Refused
from include.agent.move import fence, forward, hold, redirect, serving, stores, switch
from include.agent.stores.mariadb.store import MARIADB
from include.agent.stores.postgresql import logins
from include.agent.stores.postgresql.store import POSTGRESQL
from include.agent.verbs import peers, verb
from include.agent.verbs.protocol_number import PROTOCOL
from include.agent.verbs.reports import Switched, Verified
from include.agent.verbs.verb import PeerVerb
from tests.support.account_files import FILE, HOSTILE
from tests.support.switching import args

ALICE = Account.from_json(FILE)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on which alice serves; nothing but her state is real."""
    for module in (accounts, redirect, system):
        for name in ("STATE", "RUNTIME", "CONFIG"):
            monkeypatch.setattr(module, name, tmp_path, raising=False)
    accounts.save(ALICE)
    accounts.put_state("alice", State("serving", 1))


def away(engine: str, **more: Any) -> dict[str, Any]:
    there = {"to": "10.20.0.9", "port": 23000, "lead_port": 22000, "move": "m1", "released": True, "left": None}
    return {engine: {**there, **more}}


def test_a_part_is_the_databases_of_one_engine_and_nothing_else() -> None:
    part = ALICE.part_of("postgresql")
    assert (part.name, part.part, ALICE.part) == ("alice.postgresql", "postgresql", None)
    assert part.postgresql_databases == tuple(HOSTILE) and part.mariadb_databases == part.mariadb_users == ()
    assert part.sites == part.mailboxes == part.mail_domains == () and part.ports == {}
    assert Account.from_json(part.to_json()) == part


@pytest.mark.parametrize("name", ["alice.mysql", "alice.", "alice.postgresql.mariadb", "root.mariadb", ".mariadb"])
def test_only_engines_make_names_of_parts(name: str) -> None:
    with pytest.raises(Refused):
        accounts.check_name(name)


def test_ports_of_parts_are_not_those_of_accounts() -> None:
    part = ALICE.part_of("mariadb").to_json()
    assert Account.from_json({**part, "ports": {"mariadb": 23000}}).ports == {"mariadb": 23000}
    for wrong in ({**part, "ports": {"mariadb": 20000}}, {**FILE, "ports": {"mariadb": 23000}}):
        with pytest.raises(Refused):
            Account.from_json(wrong)


def test_what_has_left_is_gone_with_the_state(host: None) -> None:
    accounts.put_state("alice", State("serving", 1, engines=away("mariadb")))
    assert accounts.load("alice") == ALICE.without(["mariadb"])
    assert accounts.load("alice").mariadb_users == () and accounts.load("alice").postgresql_databases == tuple(HOSTILE)
    assert accounts.whole("alice") == ALICE
    with pytest.raises(Refused, match="mariadb databases of alice live on 10.20.0.9"):
        switch.stores_of(ALICE, None)
    assert switch.stores_of(ALICE, ["postgresql"]) == [POSTGRESQL]
    with pytest.raises(Refused, match="live on"):
        switch.stores_of(ALICE, ["mariadb"])


@pytest.mark.parametrize("stores", [[], ["mysql"]])
def test_stores_are_stores(host: None, stores: list[str]) -> None:
    with pytest.raises(Refused, match="must be some of files, postgresql, mariadb"):
        switch.stores_of(ALICE, stores)


def test_stores_are_a_list() -> None:
    with pytest.raises(Refused, match="stores: a list of 10 at most was expected"):
        verb.asked(verbs.Copy, {**plain(args()), "stores": "files"})


# --- the fence ---


@pytest.fixture
def held(host: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """alice is held by the move m1; what opening her does is written down."""
    done: list[str] = []
    monkeypatch.setattr(fence, "known_peer", lambda move: {"address": "10.20.0.9", "host_keys": ["key"]})
    monkeypatch.setattr(forward, "lead", lambda name: done.append("lead"))

    def release(name: str) -> list[dict[str, Any]]:
        done.append("release")
        return []

    monkeypatch.setattr(forward, "release_peer", release)
    monkeypatch.setattr(serving, "rest", lambda name: None)

    def reopen(account: Account) -> State:
        done.append("open")
        state = accounts.state_of("alice")
        return accounts.put_state("alice", State("serving", state.epoch, state.move, engines=state.engines))

    monkeypatch.setattr(serving, "reopen", reopen)
    accounts.put_state("alice", State("held", 2, "m1", deadline=4e9))
    return done


def commit() -> None:
    fence.commit_engine("alice", "m1", 2, "postgresql", 23004, Switched(held_at=0.0))


def test_before_the_commit_a_deadline_returns_and_after_it_goes_forward(held: list[str]) -> None:
    forward.settle("alice")
    assert held == ["open"] and accounts.state_of("alice").engines == {}
    accounts.put_state("alice", State("held", 2, "m1", deadline=4e9))
    commit()
    for undo in (lambda: hold.return_("alice"), lambda: hold.return_("alice", "m1"), commit):
        with pytest.raises(Refused, match="only goes forward"):
            undo()
    with pytest.raises(Refused):
        fence.commit("alice", "m1", 2, Switched())
    held.clear()
    forward.settle("alice")
    assert sorted(held[:2]) == ["lead", "release"] and held[2:] == ["open"]
    state = accounts.state_of("alice")
    assert state.state == "serving" and state.engines["postgresql"]["released"] and fence.committed(state, "m1")
    forward.settle("alice")
    assert len(held) == 3


def test_the_commit_tells_where_and_what_stays_behind(held: list[str]) -> None:
    commit()
    there = accounts.state_of("alice").engines["postgresql"]
    assert (there["to"], there["port"], there["lead_port"]) == ("10.20.0.9", 23004, 22000)
    assert there["left"] == FILE["postgresql"] and not there["released"]
    assert fence.record("alice", accounts.state_of("alice"))["account"] == "alice.postgresql"
    with pytest.raises(Refused, match="nothing is dropped"):
        forward.drop_left("alice", "postgresql")


def test_a_release_that_fails_opens_nothing(held: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(name: str) -> None:
        raise Refused("peer_unreachable", "The peer gave no answer.")

    commit()
    monkeypatch.setattr(forward, "release_peer", unreachable)
    with pytest.raises(Refused, match="no answer"):
        forward.settle("alice")
    assert accounts.state_of("alice").state == "held" and held == ["lead"]


def test_an_engines_switch_moves_that_store_alone(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    owner = Account.from_json({**ALICE.to_json(), "ports": {}})
    monkeypatch.setattr(switch, "_sides", lambda _args: (owner, Peer()))
    monkeypatch.setattr(redirect, "rehearse", lambda *_: asked.append("leading"))
    monkeypatch.setattr(forward, "lead", lambda _: None)
    monkeypatch.setattr(type(MARIADB), "version", lambda _: (10, 11))

    def write_commit(name, move, epoch, engine, port, figures):
        asked.append(f"commit {port}")
        accounts.put_state(name, State("held", 2, move, engines=away(engine, released=False)))

    monkeypatch.setattr(fence, "commit_engine", write_commit)
    monkeypatch.setattr(forward, "let_back", lambda _: asked.append("let back"))
    monkeypatch.setattr(forward, "forward_engine", lambda *_: asked.append("forward"))
    done = switch.switch(args(engine="mariadb"), lambda **_: None)
    held_by = asked[asked.index("hold") :]
    assert held_by == ["hold", "mariadb final pass", "mariadb compare", "commit 23007"] + [
        "release",
        "let back",
        "forward",
        "mariadb unfollow",
    ]
    assert asked[:3] == ["mariadb follow", "leading", "mariadb rehearse"]
    assert done.verified == Verified(tables=1, rows=1, equal=True)


class Peer:
    address = "10.20.0.9"

    def call(self, verb: PeerVerb[Any]) -> Any:
        assert not verb.name.startswith("identity")
        if isinstance(verb, peers.Alone):
            return peers.Versions(protocol=PROTOCOL, versions={"mariadb": [11, 8]})
        if isinstance(verb, peers.Warm):
            return peers.Warmed(open_seconds=0.0)
        return peers.Port(port=23007)

    def warm(self, sessions: int) -> None:
        pass


def test_an_engine_without_databases_is_not_moved() -> None:
    with pytest.raises(Refused, match="no mariadb databases"):
        switch._EngineOnly(ALICE.without(["mariadb"]), "mariadb", Peer())  # type: ignore[arg-type]


# --- leading ---


def test_the_firewall_leads_by_user_and_lets_nobody_else_in() -> None:
    text = redirect.rules([(2001, 5432, 22001), (2000, 3306, 22000)])
    assert "elements = { 2000 . 3306 : 22000, 2001 . 5432 : 22001 }" in text
    assert "elements = { 2000 . 22000, 2001 . 22001 }" in text
    known = ", ".join(map(str, sorted(engine.port for engine in stores.ENGINES)))
    assert {"3306", "5432"} <= {*known.split(", ")}
    assert f'oifname "lo" tcp dport {{ {known} }} redirect to :meta skuid . tcp dport map @leads' in text
    assert "tcp dport 22000-22999 meta skuid . tcp dport != @own reject" in text
    assert "elements" not in redirect.rules([])


def test_sessions_of_led_accounts_and_of_no_other_are_led() -> None:
    lines = redirect.namespaces([("bob", "mariadb"), ("alice", "mariadb"), ("alice", "postgresql")]).splitlines()
    assert lines[1:] == [
        "/run/mysqld /run/transhumance-led/mariadb/ user:noinit ~alice,bob",
        "/run/postgresql /run/transhumance-led/postgresql/ user:noinit ~alice",
    ]
    # A list that names nobody would mean everybody.
    assert len(redirect.namespaces([]).splitlines()) == 1


def rule(kind: str, method: str, *, users=("all",), databases=("all",), address=None, options=()) -> dict[str, Any]:
    where, mask = address or (None, None)
    return {
        "type": kind,
        "databases": [*databases],
        "users": [*users],
        "address": where,
        "netmask": mask,
        "method": method,
        "options": [*options],
    }


ANY4, LOOPBACK4 = ("0.0.0.0", "0.0.0.0"), ("127.0.0.1", "255.255.255.255")
ANY6 = ("::", "::")
SCRAM = rule("host", "scram-sha-256", address=ANY4)


@pytest.mark.parametrize(
    ("rules", "client", "method"),
    [
        ([SCRAM], "127.0.0.1", None),
        ([rule("host", "trust", address=LOOPBACK4), SCRAM], "127.0.0.1", "trust"),
        ([SCRAM, rule("host", "trust", address=LOOPBACK4)], "127.0.0.1", None),
        ([rule("host", "trust", address=LOOPBACK4), SCRAM], "127.0.0.9", None),
        ([rule("host", "trust", address=ANY6)], "127.0.0.1", None),
        ([rule("host", "trust", address=ANY6)], "::1", "trust"),
        ([rule("host", "trust", address=("samehost", None))], "127.0.0.1", "trust"),
        ([rule("host", "trust", address=("localhost", None))], "127.0.0.1", "trust"),
        ([rule("local", "trust")], "127.0.0.1", None),
        ([rule("local", "trust", users=["bob"]), rule("local", "md5")], None, None),
        ([rule("local", "trust", databases=["sameuser"])], None, None),
        ([rule("local", "trust", databases=["shop"])], None, "trust"),
        ([rule("local", "trust", users=["+staff"]), rule("local", "md5")], None, "trust"),
        ([rule("local", "scram-sha-256", users=["+staff"]), rule("local", "trust")], None, "trust"),
        # peer lets in the Unix user of the role's name, which here is another.
        ([rule("local", "peer")], None, None),
        ([rule("local", "peer", options=["map=all"])], None, "peer"),
        ([rule("local", "reject"), rule("local", "trust")], None, None),
    ],
)
def test_what_no_other_server_can_check(rules: list[dict[str, Any]], client: str | None, method: str | None) -> None:
    assert logins.other_method(rules, "alice", "shop_role", "shop", client) == method


def test_peer_is_for_the_role_of_the_users_name() -> None:
    assert logins.other_method([rule("local", "peer")], "alice", "alice", "shop", None) == "peer"
    assert logins.other_method([rule("local", "peer")], "alice", "shop", "shop", None) is None
