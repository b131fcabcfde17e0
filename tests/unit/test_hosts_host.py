"""A host from here: what is packed, what a reply means, and which faults are told apart."""

import json
import subprocess
import sys
import zipfile
from io import BytesIO

import paramiko
import pytest

from include.hosts import AgentError, Host, HostUnreachable, build_agent, package
from include.hosts import host as module


class Channel:
    """One SSH channel whose answers are given."""

    def __init__(self, output: bytes, code: int = 0, errors: bytes = b"") -> None:
        self.output, self.code, self.errors = output, code, errors
        self.sent = b""
        self.command = ""

    def settimeout(self, _seconds: float) -> None: ...

    def exec_command(self, command: str) -> None:
        self.command = command

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def shutdown_write(self) -> None: ...

    def makefile(self, _mode: str) -> BytesIO:
        return BytesIO(self.output)

    def makefile_stderr(self, _mode: str) -> BytesIO:
        return BytesIO(self.errors)

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
    return Host(lambda: client)


def reply(result) -> bytes:
    return json.dumps({"ok": True, "result": result}).encode()


def test_a_verb_is_one_request_and_one_reply() -> None:
    channel = Channel(reply({"state": "held"}))
    assert host(channel).call("hold", account="alice", verb="x") == {"state": "held"}
    assert channel.command == "serve"
    assert json.loads(channel.sent) == {"verb": "hold", "args": {"account": "alice", "verb": "x"}}


def test_a_refusal_keeps_its_code_and_sentence() -> None:
    refusal = json.dumps({"ok": False, "error": {"code": "stale_epoch", "message": "It is over."}}).encode()
    with pytest.raises(AgentError) as error:
        host(Channel(refusal)).call("hold")
    assert (error.value.code, error.value.message) == ("stale_epoch", "It is over.")


def test_what_is_no_reply_shows_what_was_said() -> None:
    with pytest.raises(AgentError, match="no agent here"):
        host(Channel(b"", 1, b"no agent here")).call("describe")


def test_a_lost_connection_is_unreachable() -> None:
    with pytest.raises(HostUnreachable):
        host(Channel(b"", -1)).call("describe")
    with pytest.raises(HostUnreachable):
        host(OSError("no route")).call("describe")


def test_a_kept_connection_that_died_is_made_again_once() -> None:
    clients = [Client(Channel(reply({"n": 1})), paramiko.SSHException("dead")), Client(Channel(reply({"n": 2})))]
    one = Host(lambda: clients.pop(0))
    assert [one.call("describe")["n"], one.call("describe")["n"]] == [1, 2]


def status(state: str, **more) -> Channel:
    found = {"state": state, "progress": {}, "result": None, "error": None, "seconds": 0.1} | more
    return Channel(reply(found))


def test_a_long_verb_is_followed_through_a_lost_connection(monkeypatch) -> None:
    monkeypatch.setattr(module.time, "sleep", lambda _seconds: None)
    channels = [status("running"), OSError("cut"), status("running"), status("succeeded", result={"files": 3})]
    seen = []
    # A cut channel is one OSError for the kept connection and one for the new one.
    channels.insert(1, OSError("cut"))
    assert host(*channels).run("o1", "copy", {}, progress=seen.append) == {"files": 3}
    assert len(seen) == 3


def test_a_long_verb_that_failed_or_vanished_is_an_error(monkeypatch) -> None:
    monkeypatch.setattr(module.time, "sleep", lambda _seconds: None)
    failed = status("failed", error={"code": "not_equal", "message": "The copies differ."})
    with pytest.raises(AgentError, match="differ"):
        host(failed).run("o1", "switch", {})
    with pytest.raises(AgentError, match="start it again"):
        host(status("running"), status("vanished")).run("o1", "switch", {})


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
    assert "agent/fence.py" in names and "agent/launcher.py" not in names


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
        Host(connect).call("describe")
    assert error.value.code == "host_key_changed"
