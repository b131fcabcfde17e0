"""A hold as a block: left without a commit it is undone, whatever happened in it; what is committed stays so."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from include.agent.account import accounts
from include.agent.host import system
from include.agent.host.system import Refused
from include.agent.layouts.native import front, mail, php
from include.agent.move import fence, forward, hold, stores
from include.agent.move.steps import Steps
from include.agent.verbs.reports import Cut, Switched
from tests.support.two_servers import TwoServers


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TwoServers:
    """Alice serves on `source`, where her move m5 has a path to `target` since its second epoch."""
    both = TwoServers(tmp_path, monkeypatch).at("source")
    monkeypatch.setattr(front, "hold", lambda _account: None)
    monkeypatch.setattr(php.Requests, "drain", lambda _requests, _seconds: 2)
    monkeypatch.setattr(mail, "drain", lambda _account: None)
    monkeypatch.setattr(hold.serving.processes, "end_all", lambda _name, _uid, **_: 3)
    both.serve("alice")
    both.pair("m5", "alice", 2)
    return both


def held(epoch: int = 2, seconds: float = 60, **more: Any) -> hold.Hold:
    return hold.Hold("alice", "m5", epoch, seconds, **more)


def test_a_block_that_is_left_without_a_commit_is_undone(servers: TwoServers) -> None:
    with held() as block:
        assert servers.alice.state == "held" and servers.armed == ["alice"]
        assert block.parts == ("files", *accounts.ENGINES)
        for part in block.parts:
            block.still(part)
    assert servers.alice.state == "serving" and block.cut == Cut(requests=2, processes=3)


@pytest.mark.parametrize("error", [Refused("not_equal", "They differ."), OSError(28, "full"), KeyboardInterrupt()])
def test_whatever_ends_the_block_is_told_when_it_was_undone(servers: TwoServers, error: BaseException) -> None:
    with pytest.raises(type(error)) as told, held():
        raise error
    assert told.value is error and servers.alice.state == "serving"


def test_a_hold_that_was_over_before_it_shut_anything_shuts_nothing(
    servers: TwoServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process sleeps between the deadline's arming and its work at the front; the deadline comes meanwhile."""
    begin = fence.begin
    shut: list[object] = []

    def begin_and_sleep(name: str, *more: Any) -> None:
        begin(name, *more)
        hold.return_(name)

    monkeypatch.setattr(fence, "begin", begin_and_sleep)
    monkeypatch.setattr(front, "hold", shut.append)
    with pytest.raises(Refused, match="not held by move m5"), held():
        raise AssertionError("there is no hold")
    assert shut == [] and servers.alice.state == "serving"


@pytest.mark.parametrize("fails", ["front.hold", "php.Requests.drain"])
def test_a_hold_that_cannot_begin_is_undone(servers: TwoServers, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    def fail(*_: object) -> None:
        raise Refused("php_busy", "A request has run for 2 s.")

    monkeypatch.setattr(f"include.agent.layouts.native.{fails}", fail)
    with pytest.raises(Refused, match="has run"), held():
        raise AssertionError("the block was entered")
    assert servers.alice.state == "serving"


@pytest.mark.parametrize("seconds", [0, 0.5, 86, -1])
def test_a_hold_that_nobody_would_wait_for_is_refused(servers: TwoServers, seconds: float) -> None:
    with pytest.raises(Refused, match="from 1 to 85 seconds"), held(seconds=seconds):
        raise AssertionError("the block was entered")
    assert servers.alice.state == "serving" and servers.armed == []


def test_what_was_committed_in_the_block_stays_committed(servers: TwoServers) -> None:
    with held():
        fence.commit("alice", "m5", 2, Switched())
    assert servers.alice.state == "moved"
    with pytest.raises(Refused, match="cannot be held"), held():
        raise AssertionError("what has moved is not held again")
    assert servers.alice.state == "moved"


def test_a_failure_after_the_commit_undoes_nothing(servers: TwoServers) -> None:
    with pytest.raises(Refused, match="no answer"), held():
        fence.commit("alice", "m5", 2, Switched())
        raise Refused("peer_unreachable", "The peer gave no answer.")
    assert servers.alice.state == "moved"


def test_databases_that_were_committed_keep_the_account_held_until_they_are_open(servers: TwoServers) -> None:
    with pytest.raises(Refused, match="no answer"), held():
        fence.commit_engine("alice", "m5", 2, "mariadb", 23000, Switched(held_at=0.0))
        raise Refused("peer_unreachable", "The peer gave no answer.")
    assert servers.alice.state == "held" and fence.leaving(servers.alice) == "mariadb"


def test_a_block_whose_deadline_is_over_stops_and_commits_nothing_more(servers: TwoServers) -> None:
    """Its process slept: the server returned the account, and visitors write again."""
    stopped = []
    with pytest.raises(Refused) as no, held() as block:
        forward.settle("alice")
        assert servers.alice.state == "serving"
        for work in (lambda: block.still("files"), lambda: fence.commit("alice", "m5", 2, Switched())):
            with pytest.raises(Refused) as refused:
                work()
            stopped.append(refused.value.code)
        raise Refused("not_held", "It was not held any more.")
    assert no.value.code == "not_held" and stopped == ["not_held", "not_held"] and block.cut.processes == 0
    assert servers.alice.state == "serving"


def test_a_block_does_not_undo_the_hold_of_a_later_attempt(servers: TwoServers) -> None:
    with pytest.raises(Refused, match="was not held"), held():
        hold.admit("alice", "m5", 3)
        later = held(3).__enter__()
        raise Refused("not_held", "It was not held any more.")
    assert (servers.alice.state, servers.alice.epoch) == ("held", 3)
    later.still("files")
    later.__exit__()
    assert servers.alice.state == "serving"


def test_a_return_waits_for_what_is_being_stopped(servers: TwoServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is stopped after a return, or it would stay stopped where the account serves."""
    order: list[str] = []
    stopping = threading.Event()

    def stop(_account: object) -> None:
        stopping.set()
        time.sleep(0.3)
        order.append("stopped")

    monkeypatch.setattr(stores.ENGINES[0], "hold", stop)
    monkeypatch.setattr(stores.ENGINES[0], "unhold", lambda _account: order.append("opened"))
    with held() as block:
        thread = threading.Thread(target=block.still, args=(stores.ENGINES[0].name,))
        thread.start()
        assert stopping.wait(10)
        hold.return_("alice", "m5", 2)
        thread.join()
    assert order == ["stopped", "opened"]


def test_a_hold_of_one_engine_stops_that_engine_and_the_programs(servers: TwoServers) -> None:
    with held(engines=[stores.engine_named("mariadb")]) as block:
        assert block.parts == ("files", "mariadb")


def test_each_step_is_told_and_timed(servers: TwoServers) -> None:
    told: list[str] = []
    steps = Steps(lambda text: told.append(text))
    with held(steps=steps) as block:
        system.side_by_side(*(lambda part=part: block.still(part) for part in block.parts))
    assert told[:2] == ["deadline", "front"]
    assert sorted(told[2:]) == sorted(f"{part} still" for part in ("files", *accounts.ENGINES))
    assert sorted(step.name for step in steps.taken) == sorted(told)
    assert all(step.seconds < 10 for step in steps.taken)
    assert accounts.state_of("alice").state == "serving"
