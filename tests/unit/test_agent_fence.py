"""What ends an attempt of a move fences it: the agent's real state files, on two servers in two folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from include.agent import fence, operations, pairing, protocol
from include.agent.system import Refused
from tests.unit.two_servers import TwoServers


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TwoServers:
    """Alice serves on `source`, where her move m5 has a path to `target` since its second epoch."""
    both = TwoServers(tmp_path, monkeypatch).at("source")
    both.serve("alice")
    both.pair("m5", "alice", 2)
    return both


def code_of(refused: pytest.ExceptionInfo[Refused]) -> str:
    assert refused.value.message.endswith(".") and "\n" not in refused.value.message
    return refused.value.code


def test_an_operation_does_not_commit_the_hold_of_another_epoch(servers: TwoServers) -> None:
    fence._begin("alice", "m5", 2, 60)  # it holds, compares ... and is stopped for a while
    fence.return_("alice", "m5")  # the deadline: visitors write again
    fence._begin("alice", "m5", 3, 60)  # the run was cleared: that of epoch 3 has just begun its hold
    with pytest.raises(Refused) as no:
        fence.commit("alice", "m5", 2, {})
    assert code_of(no) == "not_held"
    with pytest.raises(Refused) as no:
        fence.commit_engine("alice", "m5", 2, "mariadb", 23000, {})
    assert code_of(no) == "not_held"
    fence.return_("alice", "m5", 2)  # and its failure does not end that hold either
    assert (servers.alice.state, servers.alice.epoch) == ("held", 3)
    assert fence.commit("alice", "m5", 3, {})["epoch"] == 3
    assert fence.commit("alice", "m5", 3, {})["epoch"] == 3, "a repeated commit is the same one"


def test_a_hold_that_was_given_up_before_it_began_does_not_begin(servers: TwoServers) -> None:
    """The switch rehearses, the run is marked failed: `return` finds nothing held, and it must hold nothing later."""
    protocol.VERBS["return"]({"account": "alice", "move": "m5", "epoch": 2})
    with pytest.raises(Refused) as no:
        fence._begin("alice", "m5", 2, 60)
    assert code_of(no) == "stale_epoch"
    assert servers.alice.state == "serving"
    fence._begin("alice", "m5", 3, 60)
    assert servers.alice.state == "held", "a cleared run has a new epoch"


def test_giving_up_ends_the_hold_it_finds(servers: TwoServers) -> None:
    fence._begin("alice", "m5", 2, 60)
    assert protocol.VERBS["return"]({"account": "alice", "move": "m5", "epoch": 2})["state"] == "serving"
    for refused in (lambda: fence._begin("alice", "m5", 2, 60), lambda: fence.commit("alice", "m5", 2, {})):
        with pytest.raises(Refused):
            refused()
    assert servers.alice.state == "serving"


def test_giving_up_an_attempt_leaves_a_later_one_alone(servers: TwoServers) -> None:
    fence._begin("alice", "m5", 3, 60)
    protocol.VERBS["return"]({"account": "alice", "move": "m5", "epoch": 2})
    assert (servers.alice.state, servers.alice.epoch, servers.alice.move) == ("held", 3, "m5")
    assert fence.commit("alice", "m5", 3, {})


def test_a_deadline_lets_the_same_attempt_hold_once_more(servers: TwoServers) -> None:
    fence._begin("alice", "m5", 2, 60)
    fence.settle("alice")
    assert servers.alice.state == "serving"
    fence._begin("alice", "m5", 2, 60)
    assert servers.alice.state == "held"


def test_the_path_of_the_next_attempt_ends_the_ones_before(servers: TwoServers) -> None:
    fence._begin("alice", "m5", 2, 60)
    fence.admit("alice", "m5", 3)
    assert (servers.alice.state, servers.alice.epoch) == ("serving", 3)
    with pytest.raises(Refused) as no:
        fence._begin("alice", "m5", 2, 60)
    assert code_of(no) == "stale_epoch"
    fence.admit("alice", "m5", 3)
    fence._begin("alice", "m5", 3, 60)
    fence.admit("alice", "m5", 3)
    assert servers.alice.state == "held", "repeated, it changes nothing"
    with pytest.raises(Refused) as no:
        fence.admit("alice", "m5", 2)
    assert code_of(no) == "stale_epoch"


def test_what_is_received_in_the_next_epoch_is_not_committed_in_this_one(servers: TwoServers) -> None:
    servers.at("target").receive("m5", "alice", 2)
    # The run was marked failed while the switch of epoch 2 rehearsed, and cleared: open_path pairs, then receives.
    servers.at("source")
    fence.give_up("alice", "m5", 2)
    fence.admit("alice", "m5", 3)
    servers.at("target").receive("m5", "alice", 3)
    servers.at("source")
    with pytest.raises(Refused) as no:
        fence._begin("alice", "m5", 2, 60)
    assert code_of(no) == "stale_epoch"
    fence._begin("alice", "m5", 3, 60)
    record = fence.commit("alice", "m5", 3, {})
    servers.at("target")
    assert fence.release("alice", "m5", 3, record).state == "serving"


def test_data_of_an_attempt_that_is_over_is_not_taken(servers: TwoServers) -> None:
    servers.at("target").receive("m5", "alice", 2)
    with pairing.data_session("alice", "m5", 2):
        pass
    servers.receive("m5", "alice", 3)
    with pytest.raises(Refused) as no, pairing.data_session("alice", "m5", 2):
        pass
    assert code_of(no) == "stale_epoch"
    with pairing.data_session("alice", "m5", 3):
        pass


@pytest.mark.parametrize(
    ("said", "epoch", "words"),
    [
        ("epoch 2 session", 2, ["session"]),
        ("epoch 12 rsync --server . /home/x/", 12, ["rsync", "--server", ".", "/home/x/"]),
        ("call", None, ["call"]),
        ("epoch -1 call", None, ["epoch", "-1", "call"]),
        ("epoch", None, ["epoch"]),
        ("epoch ² call", None, ["epoch", "²", "call"]),
        ("", None, []),
    ],
)
def test_a_peers_command_names_its_attempt(said: str, epoch: int | None, words: list[str]) -> None:
    assert pairing._attempt(said.split()) == (epoch, words)


def test_the_path_stays_until_the_other_server_has_opened_the_account(servers: TwoServers) -> None:
    unpair = protocol.VERBS["unpair"]
    fence._begin("alice", "m5", 2, 60)
    fence.commit("alice", "m5", 2, {})
    for args in ({"move": "m5"}, {"move": "m5", "epoch": 2}):
        with pytest.raises(Refused) as no:
            unpair(args)
        assert code_of(no) == "not_released"
    assert pairing.directory("m5").is_dir()
    fence.forward("alice")
    unpair({"move": "m5", "epoch": 2})
    assert not pairing.directory("m5").exists()
    unpair({"move": "m5", "epoch": 2})


def test_the_path_of_an_engines_move_stays_as_well(servers: TwoServers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence, "_reopen", lambda account: fence.state_of(account.name))
    fence._begin("alice", "m5", 2, 60)
    fence.commit_engine("alice", "m5", 2, "mariadb", 23000, {"held_at": 0.0})
    with pytest.raises(Refused) as no:
        protocol.VERBS["unpair"]({"move": "m5", "epoch": 2})
    assert code_of(no) == "not_released"
    with pytest.raises(Refused) as no:
        protocol.VERBS["return"]({"account": "alice", "move": "m5", "epoch": 2})
    assert code_of(no) == "committed"
    fence.let_back("alice")
    protocol.VERBS["unpair"]({"move": "m5", "epoch": 2})
    assert not pairing.directory("m5").exists()


def test_the_end_of_an_attempt_does_not_take_the_next_ones_path(servers: TwoServers) -> None:
    servers.pair("m5", "alice", 3)
    protocol.VERBS["unpair"]({"move": "m5", "epoch": 2})
    assert pairing.directory("m5").is_dir()
    protocol.VERBS["unpair"]({"move": "m5", "epoch": 3})
    assert not pairing.directory("m5").exists()


def test_unpair_ends_the_operations_of_its_move_and_no_others(
    servers: TwoServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for operation, move in (("m5-e2-switch", "m5"), ("m50-e2-copy", "m50"), ("m51", None)):
        directory = operations.STATE / "operations" / operation
        directory.mkdir(parents=True)
        args = {"account": "alice", **({"move": move} if move else {})}
        (directory / "request.json").write_text(json.dumps({"verb": "switch", "args": args, "started": 1.0}))
    listed = b"".join(
        b"transhumance-op-%s.service loaded active running text\n" % one
        for one in (b"m5-e2-switch", b"m50-e2-copy", b"m51", b"unheard-of")
    )
    stopped = []

    class Done:
        stdout = listed

    def run(argv: list[str], **_: object) -> Done:
        stopped.extend([argv[2]] if argv[:2] == ["systemctl", "stop"] else [])
        return Done()

    monkeypatch.setattr(operations, "run", run)
    protocol.VERBS["unpair"]({"move": "m5", "epoch": 2})
    assert stopped == ["transhumance-op-m5-e2-switch.service"]


def test_agents_of_different_versions_do_not_work_together() -> None:
    pairing.require_same_protocol({"protocol": pairing.PROTOCOL})
    for said in ({}, {"protocol": pairing.PROTOCOL + 1}, {"protocol": "x" * 100}):
        with pytest.raises(Refused, match="enrol both servers again") as no:
            pairing.require_same_protocol(said)
        assert code_of(no) == "other_protocol"
