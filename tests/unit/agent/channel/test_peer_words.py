"""What another server says goes through a shape first: a false source and a false target get one code, whatever they
say, and nothing of theirs that does not belong is ever looked at."""

import io
import json
import sys
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.agent.account.accounts import Account
from include.agent.channel import pairing, peer_words
from include.agent.channel.peer import Peer
from include.agent.host.codec import decode, plain
from include.agent.host.system import Refused
from include.agent.peer_verbs import PEER_VERBS
from include.agent.stores.mariadb import roles, users
from include.agent.stores.postgresql import large, locks, make
from include.agent.stores.postgresql.sql import Session, literal
from include.agent.verbs.peers import PartPort
from include.agent.verbs.verb import PEER, Answers, Nothing, PeerVerb, request

KEY = "ssh-ed25519 " + "A" * 68
HASH = "0" * 16
REST = "f\t0644\t1500\t1500\t1\t0\tnone\t\t\udcff"
CONTENTS = {"tables": {"public.t": [3, 1 << 70]}, "sequences": {}, "objects": {"table": {"t": []}}}
SAID = [{"database": None, "severity": "error", "object": "table t", "message": "It is not made."}]
GRANTS = {
    "statements": ["GRANT SELECT ON t TO r"],
    "schemas": [["s", "r", "r", None, "USAGE", False]],
    "extensions": [["public", "spatial_ref_sys", "r", "SELECT", False]],
}
RESTORED = {"database": "d", "identities": [["s", "t", "d"]], "apart": True, "views": [["s", "v"]], "grants": GRANTS}
ROLE = {
    **{"rolname": "r", "rolinherit": True, "rolcreatedb": False, "rolcanlogin": True, "rolconnlimit": -1},
    **{"rolvaliduntil": None, "rolpassword": "SCRAM-SHA-256$x", "comment": None, "settings": ["DateStyle=ISO"]},
    **{"members": [["r", True]], "foreign": ["other"]},
}
DATABASE = {
    **{"datname": "d", "owner": "r", "encoding": "UTF8", "datconnlimit": -1, "provider": "i", "collate": "C"},
    **{"ctype": "C", "locale": "und", "rules": None, "comment": "c", "settings": [[None, ["x.y=1"]], ["r", ["a=b"]]]},
    **{"grants": [[None, "CONNECT", False]], "schemas": [[2200, "public", "r", None]]},
    **{"extensions": [["citext", "public", "r"]], "tables": 3},
}
POSTGRESQL = {"roles": {"r": ROLE}, "databases": {"d": DATABASE}}
KEPT = {
    **{"access": 0, "plugin": "ed25519", "authentication_string": "x", "auth_or": [{}, {"plugin": "unix_socket"}]},
    **{"ssl_type": 3, "x509_issuer": "i", "max_questions": 3, "max_user_connections": -1, "max_statement_time": 0.5},
    **{"password_lifetime": 9, "password_last_changed": 0, "default_role": "r", "account_locked": True},
}
GRANTED = [["database", "d", None, None, "SELECT", False], ["table", "d", "t", "a", "UPDATE", True]]
DEFINED = {
    "databases": {"d": {"charset": "utf8mb4", "collation": "utf8mb4_bin", "comment": None}},
    "users": [{"user": "u", "host": "%", "kept": KEPT, "locked": False, "grants": GRANTED}],
    "roles": [{"name": "r", "grants": GRANTED}],
    "given": [["u", "%", "r", False]],
    "events": [["d", "e"]],
}
OBJECT = {"database": "d", "kind": "VIEW", "name": "v", "statement": "Q1JFQVRF", "charset": "utf8mb4", "moment": None}
QUESTION = {"keys": {"s.t": {"schema": "s", "table": "t", "columns": ["a"], "keys": [["1"], ["2"]]}}, "whole": []}
LOOKED = {"changed": [], "sequences": [["s", "q", -1, True]], "rows": {"s.t": ["0a", None]}, "whole": {}}

SPOKEN: dict[str, tuple[dict[str, Any], Any]] = {
    "alone": ({"protocol": 1}, {"protocol": 1, "versions": {"postgresql": [17], "mariadb": [11, 8]}}),
    "standing": ({}, {"account": "alice", "state": "moved", "epoch": 3, "proof": None}),
    "release": (
        {"epoch": 2, "commit_record": {"account": "a", "proof": "p"}},
        {"state": "serving", "steps": [{"name": "opened", "seconds": 0.1}]},
    ),
    "warm": ({}, {}),
    "part_port": ({}, {"port": 23000}),
    "stream_up": ({"slot": "th_follow_7", "seconds": 15}, {}),
    "identity": (
        {"password_hash": "!", "expiry": "", "crontab": None, "lingers": True, "certificates": {"a.example": "pem"}},
        {},
    ),
    "extras": ({"extras": [{"path": "/etc/logrotate.d/a", "text": "a", "leads_to": "/etc/b"}]}, {}),
    "identity_digest": ({}, {"crontab": "0" * 64, "expiry": "f" * 64}),
    "messages_digest": (
        {},
        {"messages": 1, "digest": HASH, "mailboxes": {"a@b.example": {"messages": 1, "digest": HASH}}},
    ),
    "files_digest": ({}, {"files": 1, "bytes": 2, "entries": 3, "digest": HASH, "parts": [HASH] * 4096}),
    "files_follows": ({"token": "t"}, {"token": "t"}),
    "files_listed": ({"parts": [0, 4095]}, {"lines": [f"a\t{REST}"]}),
    "files_look": ({"paths": ["a/\udcff"]}, {"lines": {"a/\udcff": [12, REST]}, "strange": ["b"]}),
    "files_links": ({"links": {"a/.dovecot.sieve": "sieve/a.sieve"}}, {}),
    "files_remove": ({"paths": ["a"]}, {}),
    "files_settle": ({"paths": ["a"]}, {}),
    "files_settle_all": ({}, {}),
    "postgres_prepare": (
        {**POSTGRESQL, "keep": []},
        {"left": ["It stays."], "kept": ["d"], "refused": [["d", "setting x", "It is refused."]]},
    ),
    "postgres_roles": ({}, {"r": {"login": True}}),
    "postgres_restore": (RESTORED, {"bytes": 5}),
    "postgres_fill": ({"database": "d", "schema": "s", "table": "t"}, {"bytes": 5}),
    "postgres_complete": (RESTORED, {}),
    "postgres_contents": ({"database": "d", "apart": [["s", "t"]]}, CONTENTS),
    "postgres_tables": ({"database": "d", "tables": [["s", "t"]]}, {"s.t": [1, "00ff"]}),
    "postgres_subscribe": ({"database": "d", "slot": "th_follow_7", "forced": False}, {}),
    "postgres_catch_up": (
        {"seconds": 10.0, "databases": {"d": {"lsn": 9, "sequences": [["s", "q", 4, True]]}}},
        {"d": "applied"},
    ),
    "postgres_look": ({"databases": {"d": QUESTION}}, {"d": LOOKED}),
    "postgres_large": (
        {"database": "d", "oid": 7, "facts": ["r", None, [["r", "SELECT", True]]], "new": True, "pages": [[0, "00ff"]]},
        {},
    ),
    "postgres_digest": ({}, {"databases": {"d": CONTENTS}, "roles": {}, "tables": 1, "rows": 3}),
    "mariadb_prepare": (DEFINED, {}),
    "mariadb_expect": ({**DEFINED, "token": "t", "empty": ["d"]}, {}),
    "mariadb_followed": ({}, {"token": None}),
    "mariadb_objects": ({"objects": [OBJECT]}, {}),
    "mariadb_restore": ({"database": "d"}, {"bytes": 5}),
    "mariadb_load": ({"database": "d", "table": "t", "columns": [["a", None]]}, {"bytes": 5}),
    "mariadb_quiet": ({"statement": "DO 0"}, {}),
    "mariadb_run": ({"statements": ["DO 0"], "tables": [["d", "t"]]}, {"rows": [[["1", None]]]}),
    "mariadb_warm": ({}, {}),
    "mariadb_sync": ({"tables": [["d", "t"]]}, {}),
    "mariadb_digest": ({}, {"databases": {"d": CONTENTS}, "users": {}, "tables": 1, "rows": 3}),
    "mariadb_facts": ({}, {"users": {}, "roles": {}, "given": [], "objects": {"d": {"table": {"t": [["InnoDB"]]}}}}),
    "duplicate_postgresql_prepare": (POSTGRESQL, {"left": [], "said": SAID}),
    "duplicate_postgresql_restore": (
        {"database": "d", "grants": GRANTS},
        {"bytes": 5, "said": SAID, "empty": ["t"]},
    ),
    "duplicate_postgresql_objects": ({"database": "d"}, {"objects": [["table", "public.t"]]}),
    "duplicate_mariadb_restore": ({"database": "d"}, {"bytes": 5, "said": [], "failed": ["t"]}),
    "duplicate_mariadb_objects": ({"objects": [OBJECT]}, {"said": []}),
}
"""Of each verb arguments and a reply as two honest servers say them."""


VERBS = {verb.name: cast(type[PeerVerb[Any]], verb) for verb, _ in PEER_VERBS}


def test_of_every_verb_of_a_peer_there_is_an_example() -> None:
    assert {*VERBS} == {*SPOKEN}


def asked(verb: str, args: Any) -> PeerVerb:
    """What a source asks for, as its target takes it."""
    want, _ = peer_words.request(json.dumps({"verb": verb, "args": args}).encode(), PEER_VERBS, PEER)
    assert want.name == verb
    return want


def honest(verb: str) -> PeerVerb:
    return cast(PeerVerb, decode(VERBS[verb], SPOKEN[verb][0]))


def answered(verb: str, result: Any) -> Any:
    """What a source takes of this result."""
    return peer_words.reply(honest(verb), json.dumps({"ok": True, "result": result}).encode())


@pytest.mark.parametrize("verb", SPOKEN)
def test_what_honest_servers_say_arrives_as_it_was_said(verb: str) -> None:
    args, result = SPOKEN[verb]
    assert plain(asked(verb, args)) == args == json.loads(request(honest(verb)))["args"]
    assert plain(answered(verb, result)) == result


STRANGE: list[Any] = [
    None,
    True,
    -1,
    1 << 200,
    1.5,
    "",
    "5555:/home/alice/a\\",
    "a\nb",
    "x;y",
    "\ud800",
    [],
    {},
    [[]],
    {"": []},
]


def mutations(value: Any, at: tuple = (), every: bool = False):
    """(place, the value with something strange at that place), for every place in it; of lists the first alone, or
    `every` part."""
    for strange in STRANGE:
        if type(strange) is not type(value) or strange != value:
            yield at, strange
    if isinstance(value, dict):
        for key, part in value.items():
            yield (*at, key, "missing"), {name: one for name, one in value.items() if name != key}
            for place, changed in mutations(part, (*at, key), every):
                yield place, {**value, key: changed}
    if isinstance(value, list):
        for number, part in enumerate(value if every else value[:1]):
            for place, changed in mutations(part, (*at, number), every):
                yield place, [*value[:number], changed, *value[number + 1 :]]


FREE = {"crontab", "commit_record", "grants", "facts", "objects", "roles", "databases", "users", "given", "sequences"}
"""Names below which a tree is compared or written down: there a strange thing differs, and is told."""


@pytest.mark.parametrize("verb", SPOKEN)
def test_a_false_target_is_refused_with_one_code(verb: str) -> None:
    _, result = SPOKEN[verb]
    for place, wrong in mutations(result):
        try:
            taken = plain(answered(verb, wrong))
        except Refused as error:
            assert error.code == "strange_reply" and error.message.isprintable()
            continue
        # What passes has the kinds that the code counts on, or lies where anything may.
        assert FREE & {*map(str, place)} or _alike(taken, result), (place, wrong)


def _alike(taken: Any, honest: Any) -> bool:
    if honest is None or taken is None or isinstance(honest, str | int | float):
        return taken is None or honest is None or isinstance(taken, type(honest) | int)
    if isinstance(honest, list):
        return isinstance(taken, list)
    return isinstance(taken, dict)


class NoServer:
    """A session of PostgreSQL that takes everything."""

    def execute(self, statements: list[str]) -> None:
        assert all(isinstance(statement, str) for statement in statements)

    def execute_each(self, statements: list[str]) -> list[tuple[int, str]]:
        self.execute(statements)
        return []

    def query(self, sql: str, *_more: Any) -> list[Any]:
        return [["citext", True]] if "pg_available_extension" in sql else []


def made_of(verb: str, args: dict[str, Any]) -> None:
    """What the target makes of a definition, without a server."""
    account = Account.from_json(
        {"account": "a", "uid": 1500, "gid": 1500, "home": "/home/a"}
        | {"postgresql": {"roles": ["r"], "databases": ["d"]}}
        | {"mariadb": {"users": [{"user": "u", "host": "%"}], "databases": ["d"]}}
    )
    if verb in ("postgres_prepare", "duplicate_postgresql_prepare"):
        db = cast(Session, NoServer())
        make.make_roles(args["roles"], db)
        for name, database in args["databases"].items():
            make.make_database(account, name, database, db)
        for role in args["roles"].values():
            assert literal(role["rolpassword"]) and role["rolcanlogin"] in (True, False)
    elif verb in ("mariadb_prepare", "mariadb_expect"):
        for user in args["users"]:
            users.grant_statements(account, user)
            users.settings(user)
        for role in args["roles"]:
            users.grant_statements(account, {"user": role["name"], "host": "", **role})
        roles.statements(account, args["roles"], args["given"])
        assert all(f"{database}{event}" for database, event in args["events"])
    elif verb == "postgres_large" and args["facts"]:
        large._settings(account, args["oid"], *args["facts"])


@pytest.mark.parametrize("verb", SPOKEN)
def test_whatever_is_taken_of_a_definition_can_be_made_or_is_refused(verb: str, monkeypatch) -> None:
    """Wrong kinds anywhere in it, to the last leaf, are refused before anything is made or written down of it."""
    monkeypatch.setattr(make, "execute", lambda *_: None)
    monkeypatch.setattr(locks, "why_not", lambda _database, tables, *_: str(tables + 0)[:0])
    args, _ = SPOKEN[verb]
    made_of(verb, args)
    for place, wrong in mutations(args, every=True):
        try:
            taken = plain(asked(verb, wrong))
        except Refused as error:
            assert error.code in ("bad_args", "bad_request")
            continue
        try:
            made_of(verb, taken)
        except Refused as error:
            assert error.code != "internal_error", place


@pytest.mark.parametrize("verb", SPOKEN)
def test_a_false_source_is_refused_with_one_code(verb: str) -> None:
    args, _ = SPOKEN[verb]
    for _, wrong in mutations(args):
        try:
            asked(verb, wrong)
        except Refused as error:
            assert error.code in ("bad_args", "bad_request") and error.message.isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(SPOKEN)), JSON)
def test_whatever_is_said_there_is_one_refusal_or_a_taken_answer(verb: str, value: Any) -> None:
    for said in (value, {"ok": value}, {"ok": True, "result": value}, {"ok": False, "error": value}):
        with_refusal(lambda: peer_words.reply(honest(verb), json.dumps(said).encode()))  # noqa: B023
    for wanted in (value, {"verb": value, "args": value}, {"verb": verb, "args": value}):
        with_refusal(lambda: peer_words.request(json.dumps(wanted).encode(), PEER_VERBS, PEER))  # noqa: B023


def with_refusal(work) -> None:
    try:
        work()
    except Refused as error:
        assert error.message.isprintable()


LINES = [
    b"",
    b"\n",
    b"\xff\n",
    b"[" * 100_000 + b"\n",
    b'{"ok":true,"result":{"port":' + b"9" * 10_000 + b"}}\n",
    b'{"ok":true,"result":{"port":NaN}}\n',
    b'{"ok":true,"result":{"port":1e400}}\n',
    b'{"ok":true,"result":{"port":"5555:/home/alice/a\\\\"}}\n',
    b'{"ok":true}\n',
    b'{"ok":false}\n',
    b'{"ok":false,"error":{"code":"a b","message":"x"}}\n',
    b"[]\n",
    b"null\n",
]


class FalseTarget:
    """An ssh that answers each request with the bytes of a file, without end if it is told so."""

    def __init__(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setattr(pairing, "STATE", tmp_path)
        monkeypatch.setattr(pairing, "CONTROLS", tmp_path / "controls")
        (tmp_path / "pairs" / "m1").mkdir(parents=True)
        (tmp_path / "pairs" / "m1" / "key").write_text("key")
        self.says = tmp_path / "says"
        self.peer = Peer("m1", "10.20.0.21", [KEY])
        code = "import sys\nfor _ in sys.stdin:\n said, out = open(sys.argv[1], 'rb').read(), sys.stdout.buffer\n"
        code += " out.write(said); out.flush()\n if not said: break\n while not said.endswith(b'\\n'): out.write(said)"
        monkeypatch.setattr(self.peer, "ssh_argv", lambda: [sys.executable, "-c", code, str(self.says)])


@pytest.fixture
def target(tmp_path, monkeypatch) -> FalseTarget:
    return FalseTarget(tmp_path, monkeypatch)


@pytest.mark.parametrize("rest", ["", "f", REST + "\t", REST + "\n", REST + "\0", REST.replace("\t", " ", 1)])
def test_a_line_of_an_entry_has_its_fields(rest: str) -> None:
    for verb, result in (
        ("files_listed", {"lines": [f"a\t{rest}"]}),
        ("files_look", {"lines": {"a": [1, rest]}, "strange": []}),
        ("files_look", {"lines": {"a\0b": [1, REST]}, "strange": []}),
    ):
        with pytest.raises(Refused) as error:
            answered(verb, result)
        assert error.value.code == "strange_reply"


def test_a_false_targets_lines_are_refused(target: FalseTarget) -> None:
    for line in LINES:
        target.says.write_bytes(line)
        for way in (lambda: target.peer.call(PartPort()), lambda: target.peer.stream(PartPort(), ["true"])):
            with pytest.raises(Refused) as error:
                way()
            assert error.value.code == ("strange_reply" if line else "peer_unreachable"), line


def test_an_answer_without_end_is_not_read_to_its_end(target: FalseTarget) -> None:
    target.says.write_bytes(b"[1, " * 1000)
    with pytest.raises(Refused, match="1048576 bytes at most"):
        target.peer.call(PartPort())
    assert not target.peer._idle


def test_a_refusal_of_the_other_server_is_shown_as_text(target: FalseTarget) -> None:
    error = {"code": "no", "message": "\x1b[31mIt is\nnot so." + "x" * 10_000}
    target.says.write_bytes(json.dumps({"ok": False, "error": error}).encode() + b"\n")
    with pytest.raises(Refused) as refused:
        target.peer.call(PartPort())
    assert refused.value.message.startswith("On the peer: \\x1b[31mIt is\\nnot so.x")
    assert len(refused.value.message) < 5000


def served(tmp_path, monkeypatch, capsys, account: str, lines: list[bytes]) -> list[dict[str, Any]]:
    """What a target answers to these lines of a source whose key is for this account."""
    monkeypatch.setattr(pairing, "STATE", tmp_path)
    (tmp_path / "pairs" / "m1").mkdir(parents=True)
    (tmp_path / "pairs" / "m1" / "target.json").write_text(json.dumps({"account": account, "port": 20001}))
    monkeypatch.setenv("SSH_ORIGINAL_COMMAND", "session")
    monkeypatch.setattr(pairing, "load", lambda name: name)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"".join(lines))))
    monkeypatch.setattr(pairing, "data_session", lambda *_: nullcontext())
    verbs = Answers(*(verb.served_by(lambda *_: Nothing()) for verb in VERBS.values()))
    assert pairing.serve_peer("m1", lambda: verbs, *[lambda *_: pytest.fail("another program ran")] * 2) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_false_sources_lines_are_answered(tmp_path, monkeypatch, capsys) -> None:
    asked = [b"[" * 100_000 + b"\n", b"null\n", b'{"verb":[],"args":{}}\n', b'{"verb":{"a":1},"args":{}}\n', b"\xff\n"]
    asked += [b'{"verb":"warm","args":[]}\n', b'{"verb":"warm"}\n']
    codes = [reply["error"]["code"] for reply in served(tmp_path, monkeypatch, capsys, "alice", asked)]
    assert codes == ["bad_request"] * 7


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_a_parts_key_calls_the_verbs_of_its_engine_and_nothing_else(tmp_path, monkeypatch, capsys, engine) -> None:
    lines = [json.dumps({"verb": verb, "args": args}).encode() + b"\n" for verb, (args, _) in SPOKEN.items()]
    replies = served(tmp_path, monkeypatch, capsys, f"alice.{engine}", lines)
    allowed = {verb for verb, reply in zip(SPOKEN, replies, strict=True) if reply["ok"]}
    own = {verb for verb in SPOKEN if verb.startswith(engine.removesuffix("ql") + "_")}
    common = {"alone", "part_port", "release", "standing", "warm"}
    assert allowed == own | common | ({"stream_up"} if engine == "postgresql" else set())
