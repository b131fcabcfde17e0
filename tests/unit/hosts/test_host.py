"""A host from here: what is packed, what a reply means, and which faults are told apart."""

import json
import subprocess
import sys
import time
import zipfile
from io import BytesIO
from typing import Any, cast

import paramiko
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.agent import protocol, verbs
from include.agent.host.shapes import Strange
from include.agent.host.system import Refused
from include.agent.verbs.reports import Copied
from include.agent.verbs.verb import Verb, answer
from include.hosts import AgentError, Host, HostUnreachable, build_agent, package
from include.hosts import host as module

RETURN = verbs.Return(account="alice", move="m1")
COPY = verbs.Copy(account="alice", move="m1", peer=verbs.PeerAt(address="10.20.0.9", host_keys=[]))


class Channel:
    """One SSH channel whose answers are given."""

    def __init__(self, output: bytes, code: int = 0, errors: bytes = b"") -> None:
        self.output, self.code, self.errors = output, code, errors
        self._output, self._errors = BytesIO(output), BytesIO(errors)
        self.sent = b""
        self.command = ""

    def settimeout(self, _seconds: float) -> None: ...

    def exec_command(self, command: str) -> None:
        self.command = command

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def shutdown_write(self) -> None: ...

    def recv(self, size: int) -> bytes:
        return self._output.read(size)

    def recv_stderr(self, size: int) -> bytes:
        return self._errors.read(size)

    def recv_exit_status(self) -> int:
        return self.code

    def close(self) -> None: ...


class Client:
    """A paramiko client that hands out the given channels, one after another; an exception is raised."""

    def __init__(self, *channels: Channel | Exception) -> None:
        self.channels = list(channels)

    def get_transport(self) -> "Client":
        return self

    def set_keepalive(self, _seconds: int) -> None: ...

    def open_session(self, timeout: float) -> Channel:
        channel = self.channels.pop(0)
        if isinstance(channel, Exception):
            raise channel
        return channel

    def close(self) -> None: ...


def host(*channels: Channel | Exception) -> Host:
    client = Client(*channels)
    return Host(lambda: cast(paramiko.SSHClient, client))


def reply(result) -> bytes:
    return json.dumps({"ok": True, "result": result}).encode()


def test_a_verb_is_one_request_and_one_reply() -> None:
    returned: dict[str, Any] = {"state": "serving", "epoch": 2}
    channel = Channel(reply(returned))
    assert host(channel).call(RETURN) == verbs.Standing(**returned)
    assert channel.command == "serve"
    assert json.loads(channel.sent) == {"verb": "return", "args": {"account": "alice", "move": "m1"}}


def test_a_refusal_keeps_its_code_and_sentence() -> None:
    refusal = json.dumps({"ok": False, "error": {"code": "stale_epoch", "message": "It is over."}}).encode()
    with pytest.raises(AgentError) as error:
        host(Channel(refusal)).call(RETURN)
    assert (error.value.code, error.value.message) == ("stale_epoch", "It is over.")


def test_what_is_no_reply_shows_what_was_said() -> None:
    with pytest.raises(AgentError, match="no agent here"):
        host(Channel(b"", 1, b"no agent here")).call(verbs.Describe())


def test_a_lost_connection_is_unreachable() -> None:
    with pytest.raises(HostUnreachable):
        host(Channel(b"", -1)).call(verbs.Describe())
    with pytest.raises(HostUnreachable):
        host(OSError("no route")).call(verbs.Describe())


def test_a_kept_connection_that_died_is_made_again_once() -> None:
    first, second = (Channel(reply({"reset": number})) for number in (1, 2))
    clients = [Client(first, paramiko.SSHException("dead")), Client(second)]
    one = Host(lambda: cast(paramiko.SSHClient, clients.pop(0)))
    assert [one.call(verbs.ResetIps(ips=[])).reset for _ in range(2)] == [1, 2]


def status(state: str, **more) -> Channel:
    found = {"state": state, "progress": {}, "result": None, "error": None, "seconds": 0.1} | more
    return Channel(reply(found))


def test_a_long_verb_is_followed_through_a_lost_connection(monkeypatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    done = status("succeeded", result={"files": 3})
    channels: list[Channel | Exception] = [status("running"), OSError("cut"), status("running"), done]
    seen: list[object] = []
    # A cut channel is one OSError for the kept connection and one for the new one.
    channels.insert(1, OSError("cut"))
    assert host(*channels).run("o1", COPY, progress=seen.append) == Copied(files=3)
    assert len(seen) == 3


@pytest.mark.parametrize("result", [{"files": -1}, {"left": "all"}, {"ways": [{"store": "files"}]}, {"stores": []}])
def test_what_a_long_verb_gives_is_of_its_kind(result: dict) -> None:
    with pytest.raises(AgentError, match="What answers copy on this server is not its agent.(files|left|ways|stores)"):
        host(status("succeeded", result=result)).run("o1", COPY)


def test_a_long_verb_that_failed_or_vanished_is_an_error(monkeypatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    failed = status("failed", error={"code": "not_equal", "message": "The copies differ."})
    with pytest.raises(AgentError, match="differ"):
        host(failed).run("o1", COPY)
    with pytest.raises(AgentError, match="start it again"):
        host(status("running"), status("vanished")).run("o1", COPY)


def test_the_agent_is_pushed_only_where_it_differs() -> None:
    import hashlib

    digest = hashlib.sha256(build_agent()).hexdigest()
    assert host(Channel(f"{digest}\n".encode())).push_agent() is False
    push = Channel(f"{digest}\n".encode())
    assert host(Channel(b"none\n"), push).push_agent() is True
    assert (push.command, push.sent) == (f"push {digest}", build_agent())


def test_the_same_source_gives_the_same_bytes(tmp_path) -> None:
    first = build_agent()
    package.build_agent.cache_clear()
    assert build_agent() == first
    names = zipfile.ZipFile(BytesIO(first)).namelist()
    assert "agent/move/fence.py" in names and "agent/host/launcher.py" not in names


def test_the_zipapp_runs_alone(tmp_path) -> None:
    packed = tmp_path / "agent.pyz"
    packed.write_bytes(build_agent())
    request = b'{"verb": "nonsense", "args": {}}'
    done = subprocess.run([sys.executable, "-I", str(packed), "serve"], input=request, capture_output=True, check=True)
    assert json.loads(done.stdout)["error"]["code"] == "unknown_verb"


@pytest.mark.parametrize("text", ["", "ssh-ed25519", "ssh-ed25519 nonsense", "nonsense AAAA"])
def test_what_is_no_host_key_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="no SSH host key"):
        module.parse_host_key(text)


def test_another_host_key_is_not_a_lost_connection() -> None:
    key = paramiko.ECDSAKey.generate()

    def connect():
        raise paramiko.BadHostKeyException("10.20.0.11", key, key)

    with pytest.raises(AgentError) as error:
        Host(connect).call(verbs.Describe())
    assert error.value.code == "host_key_changed"


STANDING: dict[str, Any] = {"state": "serving", "epoch": 3}
FALSE_MESSAGE = "all good\x1b[2K\r[2026-11-29] INFO - Marked success\n"


class Endless(Channel):
    """A server that never stops."""

    def recv(self, size: int) -> bytes:
        self.sent += b"x" * min(size, 1)  # how often it was asked
        return b"x" * size


class Dripping(Channel):
    """A server that says one byte each time that it would be given up."""

    def recv(self, _size: int) -> bytes:
        time.sleep(0.02)
        return b" "


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    channel = Endless(b"")
    with pytest.raises(AgentError, match="1048576 bytes at most") as error:
        host(channel).call(RETURN)
    assert error.value.code == "strange_reply" and channel.sent.count(b"x") <= 17


def test_an_answer_that_drips_is_waited_for_no_longer_than_any(monkeypatch) -> None:
    began = time.monotonic()
    monkeypatch.setattr(Dripping, "settimeout", lambda _self, seconds: _end_at(seconds))
    with pytest.raises(HostUnreachable):
        host(Dripping(b"")).call(RETURN, timeout=0.3)
    assert time.monotonic() - began < 5


def _end_at(seconds: float) -> None:
    if seconds <= 0.01:
        raise TimeoutError


@pytest.mark.parametrize(
    "output",
    [
        b"[" * 100_000,
        b"[]",
        b"null",
        b"\xff",
        b'{"ok":true}',
        b'{"ok":1,"result":{}}',
        b'{"ok":true,"result":[]}',
        b'{"ok":true,"result":{"state":"serving","epoch":-1}}',
        b'{"ok":true,"result":{"state":"serving","epoch":true}}',
        b'{"ok":true,"result":{"state":"serving","epoch":' + b"9" * 10_000 + b"}}",
        b'{"ok":true,"result":{"state":"serving","epoch":NaN}}',
        b'{"ok":true,"result":{"state":["serving"],"epoch":1}}',
        b'{"ok":true,"result":{"state":"ser\\u001bving","epoch":1}}',
        b'{"ok":false}',
        b'{"ok":false,"error":"no"}',
        b'{"ok":false,"error":{"code":["x"],"message":"no"}}',
        b'{"ok":false,"error":{"code":"x y","message":"no"}}',
    ],
)
def test_what_is_no_answer_to_a_verb_is_refused_with_one_code(output: bytes) -> None:
    with pytest.raises(AgentError) as error:
        host(Channel(output, errors=b"\x1b[2K")).call(RETURN)
    assert error.value.code == "strange_reply" and error.value.message.isprintable()


@settings(max_examples=200)
@given(
    st.sampled_from([verb for verb, _ in (*protocol.VERBS, *protocol.LONG_VERBS)]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=12,
    ),
)
def test_whatever_a_server_says_is_an_answer_or_a_refusal(verb: type[Verb], value) -> None:
    for said in (value, {"ok": value}, {"ok": True, "result": value}, {"ok": False, "error": value}):
        try:
            answer(object.__new__(verb), json.dumps(said).encode())
        except Refused as error:
            assert error.message.isprintable() and error.code.isprintable()
        except Strange as strange:
            assert str(strange).isprintable()


def test_what_a_server_says_of_its_refusal_is_one_line_of_text() -> None:
    refusal = json.dumps({"ok": False, "error": {"code": "x", "message": FALSE_MESSAGE + "x" * 10_000}}).encode()
    failed = {"state": "failed", "progress": {"text": FALSE_MESSAGE}, "result": None, "seconds": 1}
    failed |= {"error": {"code": "x", "message": FALSE_MESSAGE}}
    seen: list = []
    for channel, work in (
        (Channel(refusal), lambda one: one.call(RETURN)),
        (Channel(reply(failed)), lambda one: one.run("o1", COPY, progress=seen.append)),
        (Channel(b"", 1, FALSE_MESSAGE.encode()), lambda one: one.call(RETURN)),
        (Channel(b"", 1, FALSE_MESSAGE.encode()), lambda one: one.agent_digest()),
    ):
        with pytest.raises(AgentError) as error:
            work(host(channel))
        assert error.value.message.isprintable() and len(error.value.message) < 5000
    assert seen[0].text.isprintable()


def test_what_has_no_place_in_an_answer_is_left_out() -> None:
    assert host(Channel(reply(STANDING | {"more": 1}))).call(RETURN) == verbs.Standing(**STANDING)
