"""When a host's own steps are run, over the life of an account; and what becomes of it when they fail or are killed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from include.agent import boot, layouts
from include.agent.account import accounts
from include.agent.account.accounts import Account, whole
from include.agent.host import homes, system
from include.agent.host.system import Refused
from include.agent.layouts import provisioning
from include.agent.layouts.native import mail, php
from include.agent.move import deadline, fence, forward, hold, serving, shell, take_back
from include.agent.verbs.reports import Switched
from tests.support.own_steps import OwnSteps
from tests.support.two_servers import TwoServers, statement

THERE = "10.0.0.2"


class Host:
    """Two servers on which the host does steps itself; what our front does is written down among them."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str = "native") -> None:
        self.servers, self.steps = TwoServers(tmp_path, monkeypatch), OwnSteps(tmp_path / "steps", monkeypatch)
        self.disarmed: list[str] = []
        monkeypatch.setattr(deadline, "disarm", self.disarmed.append)
        front, extras = (import_module(f"include.agent.layouts.{layout}.{part}") for part in ("front", "extras"))
        for module in (hold, serving, shell):
            monkeypatch.setattr(module, "front", front, raising=False)
        monkeypatch.setattr(shell, "extras", extras)
        monkeypatch.setattr(front, "hold", lambda _account: self.steps.note("our front holds"))
        monkeypatch.setattr(front, "set_entry", lambda _account: self.steps.note("our front follows"))
        for module, names in {
            system: ("require_user", "set_password_hash", "remove_user"),
            homes: ("make_way", "require_home"),
            front: ("load_certificates", "drop_certificates", "render_sites", "render_maps"),
            php: ("forget",),
            mail: ("drain",),
        }.items():
            for name in names:
                monkeypatch.setattr(module, name, lambda *_, **__: None)
        monkeypatch.setattr(system, "create_user", lambda *_: self.steps.note("our user"))
        monkeypatch.setattr(php.Requests, "drain", lambda _requests, _seconds: 0)
        monkeypatch.setattr(hold.serving.processes, "end_all", lambda _name, _uid, **_: 0)
        for store in shell.stores.STORES:
            monkeypatch.setattr(store, "discard", lambda _account: None)

    def at(self, server: str) -> Host:
        self.servers.at(server)
        self.steps.at(server)
        return self

    def put(self, *steps: str, **more: Any) -> Host:
        self.steps.put(*steps, **more)
        return self

    def asked(self) -> list[str]:
        """What was asked since this was looked at."""
        asked = self.steps.asked
        self.steps.forget()
        return asked

    @property
    def state(self) -> str:
        return self.servers.alice.state


def host_with_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str = "native") -> Host:
    host = Host(tmp_path, monkeypatch, layout)
    for server in ("target", "source"):
        host.at(server).put(*provisioning.SECONDS)
    return host


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return host_with_steps(tmp_path, monkeypatch)


ALICE = Account.from_json(statement("alice"))


@pytest.fixture
def alice_serves(host: Host) -> Host:
    """Alice serves on `source`, and her move m5 can begin."""
    host.at("source").servers.serve("alice")
    host.servers.pair("m5", "alice", 2)
    return host


def held(seconds: float = 60) -> hold.Hold:
    return hold.Hold("alice", "m5", 2, seconds)


def commit_and_open(host: Host, then: Callable[[], Any] = lambda: None) -> None:
    """From the hold to the end of the switch, on both servers."""
    with held():
        fence.commit("alice", "m5", 2, Switched())
        committed = fence.record("alice", host.servers.alice)
        host.at("target")
        forward.release("alice", "m5", 2, committed)
        host.at("source")
        forward.let_go("alice")
    then()
    forward.forward("alice")


@pytest.mark.parametrize("layout", layouts.KNOWN)
def test_the_life_of_an_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    host = host_with_steps(tmp_path, monkeypatch, layout).at("source")
    shell.create(ALICE, 1, None)
    assert host.asked() == ["source provision wanted", "source our front follows", "source open"]
    host.servers.pair("m5", "alice", 2)

    host.at("target").servers.receive("m5", "alice", 2)
    assert host.asked() == ["target provision wanted"]

    host.at("source")
    commit_and_open(host)
    assert host.asked() == [
        "source close",
        "source our front holds",
        "target our front follows",
        "target open",
        "source our front follows",
        f"source open to {THERE}",
        "source our front follows",
    ]
    shell.remove("alice", "m5")
    assert host.asked() == ["source provision unwanted"]
    assert host.state == "absent" and not ALICE.shut.exists()


def test_a_return_is_an_open(alice_serves: Host) -> None:
    with held():
        assert alice_serves.asked() == ["source close", "source our front holds"]
    assert alice_serves.asked() == ["source our front follows", "source open"]
    assert alice_serves.state == "serving" and not ALICE.shut.exists() and alice_serves.disarmed == ["alice"]


def test_where_the_host_does_nothing_itself_all_is_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(tmp_path, monkeypatch).at("source")
    shell.create(ALICE, 1, None)
    host.servers.pair("m5", "alice", 2)
    with held():
        pass
    ours = ["our user", "our front follows", "our front holds", "our front follows"]
    assert host.asked() == [f"source {each}" for each in ours]
    assert host.disarmed == ["alice"] and not ALICE.shut.exists()


def test_what_is_taken_back_and_led_elsewhere_is_open(alice_serves: Host) -> None:
    alice_serves.at("target").servers.receive("m5", "alice", 2)
    alice_serves.at("source")
    commit_and_open(alice_serves)
    alice_serves.asked()
    take_back.lead_to("alice", "10.0.0.3")
    assert alice_serves.asked() == ["source our front follows", "source open to 10.0.0.3"]
    take_back.take_back("alice", 3, "the transit is lost")
    assert alice_serves.asked() == ["source our front follows", "source open"]


def test_it_is_told_whose_visitors_and_until_when(alice_serves: Host) -> None:
    with held(2):
        pass
    (close,) = [each for each in alice_serves.steps.all_asked if each["step"] == "close"]
    assert {**close, "server": ""} == {
        "server": "",
        "step": "close",
        "account": "alice",
        "hosts": [],
        "to": None,
        "rehearsal": False,
    }


# --- what fails ---

BROKEN = {
    "hangs": "time.sleep(300)",
    "keeps its output open": "os.fork() or time.sleep(300)",
    "garbage": "answer = 'yes'",
    "a list": "answer = []",
    "no text": "os.write(1, bytes([255, 0]))",
    "says nothing": "os._exit(0)",
    "a gigabyte": "[os.write(1, b'x' * (1 << 20)) for _ in range(1024)]",
    "exits 1": "print('The panel is down.'); sys.exit(1)",
    "is killed": "os.kill(os.getpid(), 9)",
}


def limited(step: str, broken: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What such an executable does. One that hangs has less time; the others have enough, however busy the machine."""
    if broken in ("hangs", "keeps its output open"):
        monkeypatch.setitem(provisioning.SECONDS, step, 3.0)
    return BROKEN[broken]


@pytest.mark.parametrize("broken", BROKEN)
def test_an_account_whose_close_fails_serves_on(
    alice_serves: Host, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    alice_serves.put("close", does=limited("close", broken, monkeypatch))
    began = time.monotonic()
    with pytest.raises(Refused, match="close"), held():
        raise AssertionError("the block was entered")
    assert time.monotonic() - began < 60
    assert alice_serves.asked() == ["source close", "source our front follows", "source open"]
    assert alice_serves.state == "serving" and not ALICE.shut.exists()


@pytest.mark.parametrize("broken", BROKEN)
def test_an_open_that_fails_keeps_no_account_held(
    alice_serves: Host, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    alice_serves.put("open", does=limited("open", broken, monkeypatch))
    with held():
        alice_serves.asked()
    assert alice_serves.asked() == ["source our front follows", "source open"]
    assert alice_serves.state == "serving" and alice_serves.disarmed == []  # the deadline stays armed: it tries again
    (sentence,) = provisioning.wrong()
    assert sentence.startswith("Visitors of alice may still be kept waiting. ")
    with pytest.raises(Refused, match="is tried again"):
        forward.settle("alice")

    monkeypatch.setitem(provisioning.SECONDS, "open", 60.0)
    alice_serves.put("open")
    alice_serves.asked()
    forward.settle("alice")
    assert alice_serves.asked() == ["source our front follows", "source open"]
    assert provisioning.wrong() == [] and alice_serves.disarmed == ["alice"]
    forward.settle("alice")
    assert alice_serves.asked() == []


def test_an_open_that_fails_on_the_new_server_stops_no_move(alice_serves: Host) -> None:
    alice_serves.at("target").put("open", does="sys.exit(1)").servers.receive("m5", "alice", 2)
    alice_serves.at("source")
    alice_serves.servers.armed.clear()
    commit_and_open(alice_serves)
    assert alice_serves.state == "moved" and alice_serves.servers.alice.released
    assert alice_serves.servers.armed == ["alice", "alice"]  # the hold's deadline, then what tries again
    alice_serves.at("target").put("open")
    assert alice_serves.state == "serving"
    forward.settle("alice")
    assert provisioning.wrong() == []


def test_a_close_whose_open_is_gone_is_not_forgotten(alice_serves: Host) -> None:
    with held():
        (alice_serves.steps.steps / "open").unlink()
    assert alice_serves.state == "serving" and ALICE.shut.exists()
    assert any("no" in sentence and "open that undoes it" in sentence for sentence in provisioning.wrong())
    alice_serves.put("open")
    forward.settle("alice")
    assert alice_serves.asked()[-1] == "source open" and not ALICE.shut.exists()


def test_a_close_is_given_no_longer_than_the_hold(alice_serves: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    alice_serves.put("close", does="time.sleep(300)")
    began = time.monotonic()
    with pytest.raises(Refused, match="did not end"), held(1):
        raise AssertionError("the block was entered")
    assert time.monotonic() - began < 30  # the limit of the step itself is 60 s here


def test_a_provision_that_fails_makes_nothing(host: Host) -> None:
    host.at("target").put("provision", does="print('No room.'); sys.exit(1)")
    with pytest.raises(Refused, match='says: "No room."'):
        host.servers.receive("m5", "alice", 2)
    assert host.state == "absent" and not accounts.account_path("alice").exists()
    host.put("provision")
    host.servers.receive("m5", "alice", 2)
    assert host.state == "receiving"


def test_a_provision_that_only_says_so_is_not_believed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    missing = {**statement("nobody-of-that-name"), "home": "/home/nobody-of-that-name"}
    ran: list[Account] = []
    monkeypatch.setattr(provisioning, "has", lambda _step: True)
    monkeypatch.setattr(provisioning, "provision", ran.append)
    with pytest.raises(Refused, match=r"there is no user nobody-of-that-name with the uid 2001.*\(no_such_user\)"):
        shell._make_user(Account.from_json(missing))
    assert len(ran) == 1


def test_a_received_account_is_not_provisioned_again_while_it_may_be_held_elsewhere(host: Host) -> None:
    host.at("target").servers.receive("m5", "alice", 2)
    host.asked()
    host.servers.receive("m5", "alice", 2)
    assert host.asked() == []
    shell.receive(Account.from_json({**statement("alice"), "shell": "/bin/sh"}), "m5", 2)
    assert host.asked() == ["target provision wanted"] and whole("alice").shell == "/bin/sh"


def test_what_the_host_makes_goes_to_no_server_without_its_program(tmp_path: Path, monkeypatch: Any) -> None:
    host = Host(tmp_path, monkeypatch).at("target")
    provisioned = Account.from_json({**statement("alice"), "provisioned": True})
    with pytest.raises(Refused, match=r"put it at \S+/steps/provision"):
        shell.receive(provisioned, "m5", 2)
    host.put("provision")
    shell.receive(provisioned, "m5", 2)
    assert whole("alice").provisioned and not provisioned.part_of("mariadb").provisioned


def test_a_removal_waits_until_the_host_has_taken_its_part_away(alice_serves: Host) -> None:
    alice_serves.at("target").servers.receive("m5", "alice", 2)
    alice_serves.put("provision", does="sys.exit(1)")
    with pytest.raises(Refused, match="provision"):
        shell.remove("alice", "m5")
    assert alice_serves.state == "receiving"
    alice_serves.put("provision")
    shell.remove("alice", "m5")
    assert alice_serves.state == "absent"


# --- kills in between ---

KILLS_THE_AGENT = "os.kill(os.getppid(), 9); time.sleep(1.5); open(kept + '/late', 'w')"


def killed(work: Callable[[], Any]) -> None:
    """Do it in a process that is killed meanwhile."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "nothing killed it"


def in_a_hold() -> None:
    with held():
        raise AssertionError("the block was entered")


def a_hold_that_returns() -> None:
    with held():
        pass


def test_a_kill_in_close_is_undone_at_the_deadline_and_nothing_closes_later(alice_serves: Host) -> None:
    alice_serves.put("close", does=KILLS_THE_AGENT)
    killed(in_a_hold)
    assert alice_serves.asked() == ["source close"] and alice_serves.state == "held"
    forward.settle("alice")
    assert alice_serves.asked() == ["source our front follows", "source open"]
    assert alice_serves.state == "serving" and not ALICE.shut.exists()
    time.sleep(2)
    assert not (alice_serves.steps.kept / "late").exists()


def test_a_kill_in_open_is_made_good_at_the_deadline(alice_serves: Host) -> None:
    alice_serves.put("open", does=KILLS_THE_AGENT)
    killed(a_hold_that_returns)
    assert alice_serves.state == "serving" and ALICE.shut.exists()
    alice_serves.put("open")
    alice_serves.asked()
    forward.settle("alice")
    assert alice_serves.asked() == ["source our front follows", "source open"] and not ALICE.shut.exists()


def test_a_kill_in_open_is_made_good_by_a_boot(alice_serves: Host) -> None:
    alice_serves.put("open", does=KILLS_THE_AGENT)
    killed(a_hold_that_returns)
    alice_serves.put("open")
    alice_serves.asked()
    alice_serves.servers.armed.clear()
    boot.boot()
    assert alice_serves.servers.armed == ["alice"] and alice_serves.asked() == []  # the boot waits for nobody
    forward.settle("alice")
    assert alice_serves.asked() == ["source our front follows", "source open"] and not ALICE.shut.exists()


def test_a_kill_in_open_on_the_new_server_is_made_good_by_the_release_that_is_repeated(alice_serves: Host) -> None:
    alice_serves.at("target").put("open", does=KILLS_THE_AGENT).servers.receive("m5", "alice", 2)
    alice_serves.at("source")
    with held():
        fence.commit("alice", "m5", 2, Switched())
        committed = fence.record("alice", alice_serves.servers.alice)
    alice_serves.at("target")
    killed(partial(forward.release, "alice", "m5", 2, committed))
    assert alice_serves.state == "serving" and ALICE.shut.exists()
    alice_serves.put("open")
    alice_serves.asked()
    forward.release("alice", "m5", 2, committed)
    assert alice_serves.asked() == ["target our front follows", "target open"] and not ALICE.shut.exists()


def test_a_kill_between_the_commit_and_open_is_made_good_at_the_deadline(alice_serves: Host) -> None:
    alice_serves.at("target").servers.receive("m5", "alice", 2)
    alice_serves.at("source").put("open", does=KILLS_THE_AGENT)
    killed(partial(commit_and_open, alice_serves))
    alice_serves.at("source").put("open")
    assert alice_serves.state == "moved" and alice_serves.servers.alice.released
    alice_serves.asked()
    forward.settle("alice")
    assert alice_serves.asked() == ["source our front follows", f"source open to {THERE}"] and not ALICE.shut.exists()
