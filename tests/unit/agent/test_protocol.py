"""Whatever comes in, one JSON reply goes out; long verbs are remembered by their operation."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from include.agent import describe, protocol
from include.agent.channel import pairing
from include.agent.host import addresses, operations, system
from include.agent.host.system import Refused
from include.agent.verbs.verb import Answers


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "bad_request"),
        (b"\xff", "bad_request"),
        (b"[]", "bad_request"),
        (b'{"verb": "describe"}', "bad_request"),
        (b"[" * 100_000, "bad_request"),
        (b'{"verb": "describe", "args": {"a": ' + b"[" * 100 + b"]" * 100 + b"}}", "bad_request"),
        (b'{"verb": ["describe"], "args": {}}', "bad_request"),
        (b'{"verb": {"describe": 1}, "args": {}}', "bad_request"),
        (b'{"verb": "describe", "args": {"a": NaN}}', "bad_request"),
        (b'{"verb": "describe", "args": {"a": 1e400}}', "bad_request"),
        (b'{"verb": "describe", "args": {"a": "\\ud800"}}', "bad_request"),
        (b'{"verb": "nonsense", "args": {}}', "unknown_verb"),
        (b'{"verb": "describe", "args": []}', "bad_args"),
        (b'{"verb": "return", "args": {}}', "bad_account_name"),
        (b'{"verb": "return", "args": {"account": "alice", "move": "m1", "epoch": "2"}}', "bad_args"),
        (b'{"verb": "return", "args": {"account": "alice", "move": "m1", "epoch": true}}', "bad_args"),
        (b'{"verb": "drain_ips", "args": {"ips": [], "seconds": true}}', "bad_args"),
        # What goes past the comparison is the switch's own, and no verb.
        (b'{"verb": "hold", "args": {"account": "alice", "move": "m1", "epoch": 2, "seconds": 3.0}}', "unknown_verb"),
        (b'{"verb": "commit", "args": {"account": "alice", "move": "m1", "epoch": 2}}', "unknown_verb"),
        (b'{"verb": "release", "args": {"account": "alice", "move": "m1", "epoch": 2}}', "unknown_verb"),
        (b'{"verb": "create", "args": {}}', "bad_account_file"),
        (b'{"verb": "status", "args": {"operation": "../x"}}', "bad_operation"),
        (b'{"verb": "start", "args": {"operation": "o1", "verb": "return", "args": {}}}', "unknown_verb"),
        (b'{"verb": "accept_ips", "args": {"ips": ["198.51.100.1/24"]}}', "bad_address"),
        (b'{"verb": "accept_ips", "args": {"ips": ["fe80::1%eth0"]}}', "bad_address"),
        (b'{"verb": "drain_ips", "args": {"ips": ["fe80::1%x } ; flush ruleset"], "seconds": 1}}', "bad_address"),
        (b'{"verb": "drop_ips", "args": {"ips": [3232235777]}}', "bad_address"),
    ],
)
def test_wrong_requests_are_answered(text: bytes, code: str) -> None:
    reply = json.loads(protocol.answer(text))
    assert reply["ok"] is False
    assert reply["error"]["code"] == code
    assert reply["error"]["message"].endswith(".")


@pytest.mark.parametrize(
    "address",
    [
        "fe80::1%eth0",
        'fe80::1%",command="sh"',
        "fe80::1%x\nssh-ed25519 A",
        "::1%1",
        17,
        None,
        ["::1"],
        "1.2.3.4 ",
        "١.1.1.1",
    ],
)
def test_an_address_is_nothing_but_one(address) -> None:
    with pytest.raises(Refused) as refused:
        addresses.check_address(address)
    assert refused.value.code == "bad_address"
    assert addresses.check_address("2001:DB8::1") == "2001:db8::1"


def test_a_fault_of_the_agent_is_an_answer_too(monkeypatch) -> None:
    monkeypatch.setattr(describe, "describe", lambda: 1 / 0)
    reply = json.loads(protocol.answer(b'{"verb": "describe", "args": {}}'))
    assert reply["error"]["code"] == "internal_error"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Operations below tmp_path; systemd is a list of what it was asked."""
    asked: list[list[str]] = []

    def run(argv: list[str], **_more) -> SimpleNamespace:
        asked.append(argv)
        return SimpleNamespace(stdout=b"inactive\n")

    monkeypatch.setattr(operations, "STATE", tmp_path)
    monkeypatch.setattr(operations, "run", run)
    return asked


PLAIN = operations.Manner()


def started(asked: list[list[str]]) -> int:
    return sum(argv[0] == "systemd-run" for argv in asked)


def test_an_operation_that_succeeded_is_not_run_again(host: list[list[str]]) -> None:
    def copies(_verb, args, _report):
        return {"files": args["n"]}

    assert operations.status("o1")["state"] == "unknown"
    operations.start("o1", "copy", {"n": 3}, PLAIN)
    operations.run_operation("o1", copies)
    again = operations.start("o1", "copy", {"n": 3}, PLAIN)
    assert (again["state"], again["result"]) == ("succeeded", {"files": 3})
    assert started(host) == 1


def test_one_that_failed_or_vanished_is_run_again(host: list[list[str]]) -> None:
    def fails(_verb, _args, _report):
        raise Refused("no", "It did not work; try again.")

    assert operations.start("o1", "copy", {}, PLAIN)["state"] == "vanished"
    operations.start("o1", "copy", {}, PLAIN)
    assert started(host) == 2
    operations.run_operation("o1", fails)
    failed = operations.status("o1")
    assert (failed["state"], failed["error"]["code"]) == ("failed", "no")
    operations.start("o1", "copy", {}, PLAIN)
    assert started(host) == 3


def test_an_operation_that_succeeded_keeps_its_arguments(host: list[list[str]]) -> None:
    operations.start("o1", "copy", {"n": 1}, PLAIN)
    operations.start("o1", "copy", {"n": 2}, PLAIN)
    operations.run_operation("o1", lambda _verb, _args, _report: {})
    with pytest.raises(Refused, match="other arguments"):
        operations.start("o1", "copy", {"n": 3}, PLAIN)


def test_progress_is_seen_while_it_runs(host: list[list[str]]) -> None:
    seen = []

    def copies(_verb, _args, report):
        report(done_bytes=5, text="files")
        seen.append(operations.status("o1")["progress"])
        return {}

    operations.start("o1", "copy", {}, PLAIN)
    operations.run_operation("o1", copies)
    assert seen[0]["done_bytes"] == 5


@pytest.mark.parametrize("command", ["", "bash", "rsyncx", "call; id", "streams"])
def test_a_peer_gets_no_shell(tmp_path, monkeypatch, capsys, command: str) -> None:
    monkeypatch.setattr(pairing, "STATE", tmp_path)
    (tmp_path / "pairs" / "m1").mkdir(parents=True)
    (tmp_path / "pairs" / "m1" / "target.json").write_text(json.dumps({"account": "alice"}))
    monkeypatch.setenv("SSH_ORIGINAL_COMMAND", command)
    assert pairing.serve_peer("m1", Answers, *[lambda *_: pytest.fail("another program ran")] * 2) == 1
    assert "not admitted" in capsys.readouterr().err


def test_durable_writes_replace_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in ("long content", "short"):
        system.write_durably(path, content, 0o640)
    assert path.read_text() == "short"
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["file"]


def test_a_lock_is_waited_for_and_given_up(tmp_path: Path) -> None:
    with system.locked(tmp_path / "lock"), pytest.raises(Refused, match="try again"):
        with system.locked(tmp_path / "lock", wait=0.02):
            pytest.fail("both hold it")
    with system.locked(tmp_path / "lock", shared=True), system.locked(tmp_path / "lock", shared=True):
        pass


@pytest.mark.parametrize("value", ["root:x", "$6$a\nroot:y", "", "x" * 300, "$6$ä"])
def test_unix_password_hashes_are_hashes(value: str) -> None:
    with pytest.raises(Refused):
        system.set_password_hash("alice", value)


def test_crontab_lines_are_those_that_do_something() -> None:
    assert system.crontab_lines("# comment\n\n* * * * * true\n  # more\nMAILTO=x\n") == 2


def test_the_launcher_pushes_only_what_was_announced(tmp_path: Path) -> None:
    launcher = Path(system.__file__).with_name("launcher.py")
    argv = [sys.executable, str(launcher)]
    wrong = {**os.environ, "SSH_ORIGINAL_COMMAND": "push " + "0" * 64}
    done = subprocess.run(argv, input=b"agent", env=wrong, capture_output=True)
    assert done.returncode == 1 and b"push it again" in done.stderr
