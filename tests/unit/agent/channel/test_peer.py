"""Calls from server to server: programs that wait, are used again, and are replaced when they are gone."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from include.agent.channel import pairing
from include.agent.channel.peer import Peer
from include.agent.host.system import Refused
from include.agent.verbs.verb import PEER, Answers, Asking, PeerVerb, Text

KEY = "ssh-ed25519 " + "A" * 68
ANSWER = """
import json, os, sys, time
for line in sys.stdin:
    request = json.loads(line)
    if request["verb"] == "die":
        sys.stderr.write("it died"); sys.exit(3)
    if request["verb"] == "refuse":
        print(json.dumps({"ok": False, "error": {"code": "no", "message": "Not so. Do it otherwise."}}), flush=True)
        continue
    time.sleep(request["args"].get("seconds", 0))
    print(json.dumps({"ok": True, "result": {"pid": os.getpid()}}), flush=True)
"""


@dataclass(frozen=True, kw_only=True)
class Pid:
    pid: int


@dataclass(frozen=True, kw_only=True)
class A(PeerVerb[Pid], name="a", by=PEER):
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class B(PeerVerb[Pid], name="b", by=PEER):
    pass


@dataclass(frozen=True, kw_only=True)
class Die(PeerVerb[Pid], name="die", by=PEER):
    pass


@dataclass(frozen=True, kw_only=True)
class Refuse(PeerVerb[Pid], name="refuse", by=PEER):
    pass


@dataclass(frozen=True, kw_only=True)
class Greeting:
    to: Text
    n: int
    input: Text


@dataclass(frozen=True, kw_only=True)
class Hello(PeerVerb[Greeting], name="hello", by=PEER, any_state=True):
    n: int


@pytest.fixture
def peer(tmp_path, monkeypatch):
    monkeypatch.setattr(pairing, "STATE", tmp_path)
    monkeypatch.setattr(pairing, "CONTROLS", tmp_path / "controls")
    (tmp_path / "pairs" / "m1").mkdir(parents=True)
    (tmp_path / "pairs" / "m1" / "key").write_text("key")
    one = Peer("m1", "10.20.0.21", [KEY])
    monkeypatch.setattr(one, "ssh_argv", lambda: [sys.executable, "-c", ANSWER])
    yield one
    one.close()


def test_calls_one_after_the_other_go_to_one_program(peer: Peer) -> None:
    assert peer.call(A()) == peer.call(B())


def test_calls_side_by_side_do_not_wait_for_each_other(peer: Peer) -> None:
    pids = []
    both = [threading.Thread(target=lambda: pids.append(peer.call(A(seconds=0.3)).pid)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert len({*pids}) == 2


def test_programs_that_wait_already_are_used(peer: Peer) -> None:
    peer.warm(2)
    waiting = [session._process.pid for session in peer._idle]
    assert peer.call(A()).pid in waiting


def test_a_refusal_is_the_peers_and_ends_nothing(peer: Peer) -> None:
    before = peer.call(A())
    with pytest.raises(Refused, match="On the peer: Not so"):
        peer.call(Refuse())
    assert peer.call(A()) == before


def test_a_call_whose_answer_is_lost_is_not_made_twice(peer: Peer) -> None:
    peer.call(A())
    peer._idle[0]._process.kill()
    peer._idle[0]._process.wait()
    with pytest.raises(Refused, match="gave no answer"):
        peer.call(A())
    assert peer.call(A()).pid


def test_no_answer_is_told_with_its_reason(peer: Peer) -> None:
    with pytest.raises(Refused, match="gave no answer .*it died"):
        peer.call(Die())


def test_a_process_shares_its_connection_with_no_other(peer: Peer) -> None:
    """The connection of a verb that has just told its result is about to end with that verb."""
    assert f"ControlPath={pairing.control('m1', os.getpid())}" in Peer.ssh_argv(peer)


def test_the_end_of_a_move_ends_its_connections_and_no_other_moves(tmp_path, monkeypatch) -> None:
    said = []
    for name, place in {"STATE": tmp_path, "CONTROLS": tmp_path / "controls"}.items():
        monkeypatch.setattr(pairing, name, place)
    monkeypatch.setattr(pairing, "run", lambda argv, **_: said.append(argv))
    monkeypatch.setattr(pairing, "_rewrite_keys", lambda *_: None)
    pairing.CONTROLS.mkdir()
    for name in ("m1.7", "m1.8", "m1.x.7", "m11.7"):
        (pairing.CONTROLS / name).touch()
    pairing.forget("m1")
    assert sorted(path.name for path in pairing.CONTROLS.iterdir()) == ["m1.x.7", "m11.7"]
    ended = {word.rpartition("/")[2] for argv in said if argv[0] == "ssh" for word in argv if "ControlPath" in word}
    assert ended == {"m1.7", "m1.8"}


def test_a_session_answers_until_its_input_ends(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(pairing, "STATE", tmp_path)
    (tmp_path / "pairs" / "m1").mkdir(parents=True)
    (tmp_path / "pairs" / "m1" / "target.json").write_text(json.dumps({"account": "alice", "port": 20001}))
    monkeypatch.setenv("SSH_ORIGINAL_COMMAND", "session")
    monkeypatch.setattr(pairing, "load", lambda name: name)
    lines = [{"verb": "hello", "args": {"n": 1}}, {"verb": "other", "args": {}}, {"verb": "hello", "args": {"n": 2}}]
    text = b"".join(json.dumps(line).encode() + b"\n" for line in lines) + b"no json\n"
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text)))

    def greet(account, want: Hello, asking: Asking) -> Greeting:
        return Greeting(to=account, n=want.n, input=asking.stdin.read().decode())

    verbs = Answers(Hello.served_by(greet))
    assert pairing.serve_peer("m1", lambda: verbs, *[lambda *_: pytest.fail("another program ran")] * 2) == 0
    replies = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [reply["ok"] for reply in replies] == [True, False, True, False]
    assert [reply["result"]["n"] for reply in replies if reply["ok"]] == [1, 2]
    assert replies[0]["result"]["input"] == ""


def test_what_a_cut_connection_has_left_gives_way(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(pairing, "RUNTIME", tmp_path)
    path = tmp_path / "accounts" / "alice.data"
    path.parent.mkdir()
    code = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_SH); print(1, flush=True)"
    stale = subprocess.Popen([sys.executable, "-c", f"{code}; time.sleep(60)", str(path)], stdout=subprocess.PIPE)
    assert stale.stdout and stale.stdout.readline()
    with pairing.no_data_session("alice"):
        assert stale.wait(5) == -signal.SIGKILL
