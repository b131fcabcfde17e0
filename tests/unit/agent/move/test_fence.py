"""What ends an attempt of a move fences it: the agent's real state files, on two servers in two folders."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from include.agent import boot, describe, peer_verbs, protocol
from include.agent.account import accounts
from include.agent.channel import pairing
from include.agent.host import operations, system
from include.agent.host.codec import decode
from include.agent.host.system import Refused
from include.agent.move import fence, forward, hold, serving
from include.agent.unclaimed import claims, look
from include.agent.verbs import Emptiness, Signed, Standing
from include.agent.verbs.peers import HowItStands, Stands
from include.agent.verbs.reports import Switched, Verified
from include.agent.verbs.verb import Asking
from tests.support.two_servers import TwoServers


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
    fence.begin("alice", "m5", 2, 60)  # it holds, compares ... and is stopped for a while
    hold.return_("alice", "m5")  # the deadline: visitors write again
    fence.begin("alice", "m5", 3, 60)  # the run was cleared: that of epoch 3 has just begun its hold
    with pytest.raises(Refused) as no:
        fence.commit("alice", "m5", 2, Switched())
    assert code_of(no) == "not_held"
    with pytest.raises(Refused) as no:
        fence.commit_engine("alice", "m5", 2, "mariadb", 23000, Switched())
    assert code_of(no) == "not_held"
    hold.return_("alice", "m5", 2)  # and its failure does not end that hold either
    assert (servers.alice.state, servers.alice.epoch) == ("held", 3)
    assert fence.commit("alice", "m5", 3, Switched())["epoch"] == 3
    assert fence.commit("alice", "m5", 3, Switched())["epoch"] == 3, "a repeated commit is the same one"


def test_a_hold_that_was_given_up_before_it_began_does_not_begin(servers: TwoServers) -> None:
    """The switch rehearses, the run is marked failed: `return` finds nothing held, and it must hold nothing later."""
    protocol.perform("return", {"account": "alice", "move": "m5", "epoch": 2})
    with pytest.raises(Refused) as no:
        fence.begin("alice", "m5", 2, 60)
    assert code_of(no) == "stale_epoch"
    assert servers.alice.state == "serving"
    fence.begin("alice", "m5", 3, 60)
    assert servers.alice.state == "held", "a cleared run has a new epoch"


def test_giving_up_ends_the_hold_it_finds(servers: TwoServers) -> None:
    fence.begin("alice", "m5", 2, 60)
    assert protocol.perform("return", {"account": "alice", "move": "m5", "epoch": 2}).state == "serving"
    for refused in (lambda: fence.begin("alice", "m5", 2, 60), lambda: fence.commit("alice", "m5", 2, Switched())):
        with pytest.raises(Refused):
            refused()
    assert servers.alice.state == "serving"


def test_giving_up_an_attempt_leaves_a_later_one_alone(servers: TwoServers) -> None:
    fence.begin("alice", "m5", 3, 60)
    protocol.perform("return", {"account": "alice", "move": "m5", "epoch": 2})
    assert (servers.alice.state, servers.alice.epoch, servers.alice.move) == ("held", 3, "m5")
    assert fence.commit("alice", "m5", 3, Switched())


def test_a_deadline_lets_the_same_attempt_hold_once_more(servers: TwoServers) -> None:
    fence.begin("alice", "m5", 2, 60)
    forward.settle("alice")
    assert servers.alice.state == "serving"
    fence.begin("alice", "m5", 2, 60)
    assert servers.alice.state == "held"


def test_the_path_of_the_next_attempt_ends_the_ones_before(servers: TwoServers) -> None:
    fence.begin("alice", "m5", 2, 60)
    hold.admit("alice", "m5", 3)
    assert (servers.alice.state, servers.alice.epoch) == ("serving", 3)
    with pytest.raises(Refused) as no:
        fence.begin("alice", "m5", 2, 60)
    assert code_of(no) == "stale_epoch"
    hold.admit("alice", "m5", 3)
    fence.begin("alice", "m5", 3, 60)
    hold.admit("alice", "m5", 3)
    assert servers.alice.state == "held", "repeated, it changes nothing"
    with pytest.raises(Refused) as no:
        hold.admit("alice", "m5", 2)
    assert code_of(no) == "stale_epoch"


def test_what_is_received_in_the_next_epoch_is_not_committed_in_this_one(servers: TwoServers) -> None:
    servers.at("target").receive("m5", "alice", 2)
    # The run was marked failed while the switch of epoch 2 rehearsed, and cleared: open_path pairs, then receives.
    servers.at("source")
    hold.give_up("alice", "m5", 2)
    hold.admit("alice", "m5", 3)
    servers.at("target").receive("m5", "alice", 3)
    servers.at("source")
    with pytest.raises(Refused) as no:
        fence.begin("alice", "m5", 2, 60)
    assert code_of(no) == "stale_epoch"
    fence.begin("alice", "m5", 3, 60)
    record = fence.commit("alice", "m5", 3, Switched())
    servers.at("target")
    assert forward.release("alice", "m5", 3, record).state == "serving"


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
    unpair = partial(protocol.perform, "unpair")
    fence.begin("alice", "m5", 2, 60)
    fence.commit("alice", "m5", 2, Switched())
    for args in ({"move": "m5"}, {"move": "m5", "epoch": 2}):
        with pytest.raises(Refused) as no:
            unpair(args)
        assert code_of(no) == "not_released"
    assert pairing.directory("m5").is_dir()
    forward.forward("alice")
    unpair({"move": "m5", "epoch": 2})
    assert not pairing.directory("m5").exists()
    unpair({"move": "m5", "epoch": 2})


def test_the_path_of_an_engines_move_stays_as_well(servers: TwoServers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "reopen", lambda account: accounts.state_of(account.name))
    fence.begin("alice", "m5", 2, 60)
    fence.commit_engine("alice", "m5", 2, "mariadb", 23000, Switched(held_at=0.0))
    with pytest.raises(Refused) as no:
        protocol.perform("unpair", {"move": "m5", "epoch": 2})
    assert code_of(no) == "not_released"
    with pytest.raises(Refused) as no:
        protocol.perform("return", {"account": "alice", "move": "m5", "epoch": 2})
    assert code_of(no) == "committed"
    forward.let_back("alice")
    protocol.perform("unpair", {"move": "m5", "epoch": 2})
    assert not pairing.directory("m5").exists()


def test_the_end_of_an_attempt_does_not_take_the_next_ones_path(servers: TwoServers) -> None:
    servers.pair("m5", "alice", 3)
    protocol.perform("unpair", {"move": "m5", "epoch": 2})
    assert pairing.directory("m5").is_dir()
    protocol.perform("unpair", {"move": "m5", "epoch": 3})
    assert not pairing.directory("m5").exists()


def test_unpair_ends_the_operations_of_its_move_and_no_others(
    servers: TwoServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for operation, move in (("m5-e2-switch", "m5"), ("m50-e2-copy", "m50"), ("m51", None)):
        directory = system.STATE / "operations" / operation
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
    protocol.perform("unpair", {"move": "m5", "epoch": 2})
    assert stopped == ["transhumance-op-m5-e2-switch.service"]


def test_agents_of_different_versions_do_not_work_together() -> None:
    pairing.require_same_protocol(pairing.PROTOCOL)
    for said in (None, pairing.PROTOCOL + 1, "x" * 100):
        with pytest.raises(Refused, match="enrol both servers again") as no:
            pairing.require_same_protocol(said)
        assert code_of(no) == "other_protocol"


DAMAGED = {
    "empty": b"",
    "cut off": b'{"state": "serv',
    "no text": b"\xff\x00\xfe",
    "zeros": bytes(300),
    "a list": b"[]",
    "a number": b"3",
    "null": b"null",
    "another state": b'{"state": "asleep"}',
    "an epoch that is none": b'{"state": "serving", "epoch": "2"}',
    "a move that is none": b'{"state": "serving", "move": 5}',
    "what is saved is none": b'{"state": "serving", "saved": null}',
    "engines that are none": b'{"state": "serving", "engines": {"mariadb": {}}}',
    "released that is none": b'{"state": "moved", "released": "no"}',
}


def three(servers: TwoServers) -> None:
    for number, name in enumerate(("bob", "zoe")):
        servers.serve(name, 2010 + number)
    pairing.forget("m5")


@pytest.mark.parametrize("damage", DAMAGED)
def test_one_damaged_state_keeps_nobody_else_shut(servers: TwoServers, damage: str, capsys) -> None:
    three(servers)
    servers.state_file("bob").write_bytes(DAMAGED[damage])
    with pytest.raises(Refused) as no:
        accounts.state_of("bob")
    code_of(no)
    boot.boot()
    assert sorted(servers.opened) == ["alice", "zoe"]
    assert "bob stays shut: " in capsys.readouterr().err
    assert [account.name for account in accounts.all_accounts()] == ["alice", "bob", "zoe"]
    assert accounts.standing("bob").state == "unreadable"
    with pytest.raises(Refused):
        fence.begin("bob", "m6", 9, 60)
    with pytest.raises(Refused):
        accounts.put_state("bob", accounts.State("serving", epoch=9))


def test_a_damaged_account_file_keeps_nobody_else_shut(servers: TwoServers, capsys) -> None:
    three(servers)
    accounts.account_path("bob").write_bytes(b"{}")
    boot.boot()
    assert sorted(servers.opened) == ["alice", "zoe"]
    assert "bob stays shut: " in capsys.readouterr().err
    with pytest.raises(Refused):
        servers.receive("m7", "carol", 2)


def test_a_server_with_an_account_that_cannot_be_read_is_not_empty(servers: TwoServers, monkeypatch) -> None:
    three(servers)
    monkeypatch.setattr(
        claims, "names_unclaimed", lambda _accounts: {name: [] for name in (*accounts.ENGINES, "users")}
    )
    monkeypatch.setattr(look, "_PARTS", {"accounts": claims.look})
    monkeypatch.setattr(look.files, "look", lambda *_: [])
    monkeypatch.setattr(describe.mail, "queue", lambda: [])
    for name in ("alice", "zoe"):
        accounts.put_state(name, accounts.State("moved", 2, "m1", released=True))
    servers.state_file("bob").write_bytes(b"")
    shut = ["The account bob is unreadable here."]
    assert describe.prove_empty() == Emptiness(empty=False, because=shut, unclaimed=[])
    accounts.account_path("bob").write_bytes(b"{}")
    proof = describe.prove_empty()
    assert not proof.empty and [(one.kind, one.name) for one in proof.unclaimed] == [("account", "bob")]
    assert proof.because == [one.sentence for one in proof.unclaimed]
    assert describe.prove_empty([Signed(kind="account", name="bob")]).empty, "somebody has signed for it"
    assert not describe.prove_empty([Signed(kind="user", name="bob")]).empty


def test_a_state_of_a_newer_agent_is_refused_in_one_sentence(servers: TwoServers) -> None:
    three(servers)
    newer = {**accounts.state_of("bob").to_json(), "lease\n": 3}
    servers.state_file("bob").write_text(json.dumps(newer))
    with pytest.raises(Refused, match="written by a newer agent") as no:
        accounts.state_of("bob")
    assert code_of(no) == "newer_state"
    boot.boot()
    assert sorted(servers.opened) == ["alice", "zoe"]
    answer = protocol.answer(json.dumps({"verb": "return", "args": {"account": "bob", "move": "m1"}}).encode())
    assert json.loads(answer)["error"]["code"] == "newer_state"
    assert protocol.perform("return", {"account": "zoe", "move": "m1"}).state == "serving"


def test_an_account_that_cannot_be_opened_keeps_nobody_else_shut(servers: TwoServers, monkeypatch) -> None:
    three(servers)

    def start_processes(account):
        if account.name == "bob":
            raise RuntimeError("its database is not up yet")
        servers.opened.append(account.name)

    monkeypatch.setattr(serving, "start_processes", start_processes)
    with pytest.raises(Refused, match="tried again"):
        boot.boot()
    assert sorted(servers.opened) == ["alice", "zoe"]


def test_what_reads_every_account_is_done_once_for_all(servers: TwoServers, monkeypatch) -> None:
    three(servers)
    times: list[None] = []
    monkeypatch.setattr(serving, "show_all", lambda: times.append(None))
    boot.boot()
    assert len(times) == 1 and len(servers.opened) == 3


def test_a_server_that_does_not_answer_delays_nobody(servers: TwoServers, monkeypatch) -> None:
    three(servers)
    fence.begin("alice", "m5", 2, 60)
    servers.pair("m5", "alice", 2)
    fence.commit("alice", "m5", 2, Switched())
    monkeypatch.setattr(boot, "Peer", None)  # nobody is asked while others wait
    servers.armed.clear()
    boot.boot()
    assert sorted(servers.opened) == ["bob", "zoe"] and servers.armed == ["alice"]


def test_what_a_killed_process_wrote_is_durable_before_the_release(servers: TwoServers, monkeypatch) -> None:
    did = []
    fence.begin("alice", "m5", 2, 60)
    fence.commit("alice", "m5", 2, Switched())
    monkeypatch.setattr(accounts, "sync_directory", lambda path: did.append(path.name))
    monkeypatch.setattr(forward, "release_peer", lambda name: did.append("release"))
    monkeypatch.setattr(forward.FILES, "messages", lambda account: 0)
    forward.go_forward("alice")
    assert did[:2] == ["alice", "release"]


@pytest.mark.parametrize(
    "kept", [{}, {"held_at": "yesterday"}, {"verified": {"rows": -1}}, {"steps": [{}], "lease": 1}]
)
def test_figures_that_another_release_has_kept_keep_nobody_from_going_on(
    servers: TwoServers, monkeypatch, kept
) -> None:
    fence.begin("alice", "m5", 2, 60)
    fence.commit("alice", "m5", 2, Switched(held_at=1.0))
    accounts.put_state("alice", replace(accounts.state_of("alice"), figures=kept))
    monkeypatch.setattr(forward, "release_peer", lambda name: [])
    monkeypatch.setattr(forward.FILES, "messages", lambda account: 4)
    figures = forward.go_forward("alice")
    assert figures.verified == Verified(messages=4) and figures.held_ms is not None
    assert forward.go_forward("alice") == figures, "repeated, it says the same"


# --- a disk that is older than the account's departure ---


class Asked:
    """The other server, as far as it answers."""

    answer: dict | None = None

    def __init__(self, move: str, *_: object) -> None:
        self.move = move

    def call(self, verb: HowItStands) -> Stands:
        if self.answer is None:
            raise Refused("peer_unreachable", "It gave no answer.")
        return decode(verb.result, self.answer)

    def close(self) -> None: ...


def restored(servers: TwoServers, answer: dict | None, monkeypatch: pytest.MonkeyPatch, held: bool = False) -> None:
    """The source moved alice, and came up again with the disk of a while before."""
    if held:
        fence.begin("alice", "m5", 2, 60)
    before = servers.state_file("alice").read_bytes()
    fence.begin("alice", "m5", 2, 60)
    fence.commit("alice", "m5", 2, Switched())
    forward.forward("alice")
    servers.state_file("alice").write_bytes(before)
    monkeypatch.setattr(Asked, "answer", answer)
    monkeypatch.setattr(boot, "Peer", Asked)
    monkeypatch.setattr(serving, "reopen", lambda account: servers.opened.append(account.name))
    boot.boot()


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("state", ["serving", "held", "moved"])
def test_a_source_from_a_snapshot_does_not_open_an_account_that_has_left(
    servers: TwoServers, monkeypatch, state: str, held: bool
) -> None:
    restored(servers, {"account": "alice", "state": state, "epoch": 2, "proof": "p"}, monkeypatch, held)
    assert servers.opened == []
    here = servers.alice
    assert (here.state, here.epoch, here.to, here.released) == ("moved", 2, "10.0.0.2", True)
    boot.boot()
    assert servers.opened == []


@pytest.mark.parametrize("state", ["receiving", "absent", "test"])
def test_a_source_in_the_middle_of_a_move_that_is_booted_serves(servers: TwoServers, monkeypatch, state: str) -> None:
    restored(servers, {"account": "alice", "state": state, "epoch": 2, "proof": "p"}, monkeypatch)
    assert servers.opened == ["alice"] and servers.alice.state == "serving"


def test_what_proves_it_is_told_with_the_commit_and_not_before(servers: TwoServers) -> None:
    fence.begin("alice", "m5", 2, 60)
    told = fence.commit("alice", "m5", 2, Switched())
    assert told["proof"] == pairing.proof("m5") == "p"
    servers.at("target").receive("m5", "alice", 2)
    pairing.directory("m5").mkdir(parents=True)
    (pairing.directory("m5") / "target.json").write_text(json.dumps({"account": "alice", "epoch": 2}))
    alice, asking = accounts.load("alice"), Asking("m5", io.BytesIO())
    assert peer_verbs._standing(alice, HowItStands(), asking).proof is None
    forward.release("alice", "m5", 2, told)
    assert peer_verbs._standing(alice, HowItStands(), asking).proof == "p"


@pytest.mark.parametrize("name", ["alice", "bob"])
@pytest.mark.parametrize("proof", [None, "", "guessed"])
def test_a_server_that_cannot_prove_that_it_got_an_account_does_not_get_it(
    servers: TwoServers, monkeypatch, name: str, proof: str | None
) -> None:
    """One that was taken over says of an account that is on its way to it that it has come."""
    restored(servers, {"account": name, "state": "serving", "epoch": 9, "proof": proof}, monkeypatch)
    assert servers.opened == ["alice"] and servers.alice.state == "serving"


def test_a_source_whose_target_is_away_serves(servers: TwoServers, monkeypatch) -> None:
    restored(servers, None, monkeypatch)
    assert servers.opened == ["alice"]


def test_a_target_that_knows_only_what_was_before_is_not_believed(servers: TwoServers, monkeypatch) -> None:
    hold.admit("alice", "m5", 3)
    servers.pair("m5", "alice", 3)
    monkeypatch.setattr(Asked, "answer", {"account": "alice", "state": "serving", "epoch": 2, "proof": "p"})
    monkeypatch.setattr(boot, "Peer", Asked)
    boot.boot()
    assert servers.opened == ["alice"]


def test_databases_that_have_left_without_this_disks_knowledge_keep_it_shut(servers: TwoServers, monkeypatch) -> None:
    monkeypatch.setattr(Asked, "answer", {"account": "alice.mariadb", "state": "serving", "epoch": 2, "proof": "p"})
    monkeypatch.setattr(boot, "Peer", Asked)
    with pytest.raises(Refused, match="tried again"):
        boot.boot()
    assert servers.opened == []


def test_the_registry_tells_a_source_from_a_backup_what_has_left_it(servers: TwoServers) -> None:
    left = partial(protocol.perform, "left")
    gone = {"account": "alice", "move": "m5", "epoch": 3, "to": "10.20.0.9"}
    assert left(gone) == Standing(state="moved", epoch=3)
    assert (servers.alice.to, servers.alice.released) == ("10.20.0.9", True)
    servers.serve("bob", 2010)
    hold.admit("bob", "m6", 4)
    assert left({**gone, "account": "bob"}) == Standing(state="serving", epoch=4), "it has come home since"


def test_a_state_that_does_not_know_where_it_has_gone_is_told_in_a_sentence(servers: TwoServers) -> None:
    accounts.put_state("alice", accounts.State("moved", epoch=3, move="m5"))
    with pytest.raises(Refused) as no:
        forward.release_peer("alice")
    assert code_of(no) == "bad_address"
