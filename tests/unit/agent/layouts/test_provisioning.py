"""What a host's own steps answer, and what of it counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from include.agent.account import accounts
from include.agent.account.accounts import Account, save
from include.agent.host.codec import decode, plain
from include.agent.host.system import Refused
from include.agent.layouts import provisioning
from include.agent.layouts.classic.reading.tree import Tree
from include.agent.verbs.discovered import Discovered, Inhabitants, Mailbox, Pool
from tests.support.own_steps import OwnSteps
from tests.support.two_servers import statement

SITES = [{"domain": "alice.example", "aliases": ["www.alice.example"], "root": "web"}]


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OwnSteps:
    monkeypatch.setattr(accounts, "CONFIG", tmp_path / "etc")
    monkeypatch.setattr(accounts, "STATE", tmp_path / "var")
    return OwnSteps(tmp_path / "steps", monkeypatch).at("web-1")


def read(name: str, **more: Any) -> Discovered:
    """Whom the configuration has."""
    file = {**statement(name), "extras": [f"/etc/logrotate.d/{name}"]}
    return Discovered(name=name, uid=2001, gid=2001, home=f"/home/{name}", shell="/bin/sh", account_file=file, **more)


def discovered(tmp_path: Path, *accounts: Discovered) -> Inhabitants:
    result = provisioning.discover(Inhabitants(accounts=[*accounts], unclear=["A site is nobody's."]), Tree(tmp_path))
    assert decode(Inhabitants, plain(result)) == result
    return result


def answers(steps: OwnSteps, *files: Any, **more: Any) -> None:
    steps.put("discover", does=f"answer = {json.dumps({'accounts': files, **more})!r}")


def test_without_it_the_configuration_says_who_lives_there(steps: OwnSteps, tmp_path: Path) -> None:
    assert [each.account_file for each in discovered(tmp_path, read("bob")).accounts] == [read("bob").account_file]


def test_whom_it_names_it_describes_and_the_others_stay(steps: OwnSteps, tmp_path: Path) -> None:
    alice = {**statement("alice"), "sites": SITES, "provisioned": True}
    answers(steps, alice, unclear=["The panel has a \x1b reseller."])
    told = discovered(tmp_path, read("alice", unfit=["Its site is of another's file."]), read("bob"))
    assert [each.name for each in told.accounts] == ["alice", "bob"]
    assert told.accounts[0].account_file == Account.from_json(alice).to_json() and told.accounts[0].unfit == []
    assert told.accounts[0].sites[0].names == ["alice.example", "www.alice.example"]
    assert told.accounts[1] == read("bob")
    assert told.unclear == ["The panel has a \\x1b reseller.", "A site is nobody's."]
    assert steps.asked == ["web-1 discover"]


def test_php_that_cannot_be_shut_is_told_whoever_describes_the_account(steps: OwnSteps, tmp_path: Path) -> None:
    pools = [
        Pool(name=where, version="8.2", user="alice", listen=where, place="pool.d/alice.conf:1")
        for where in ("127.0.0.1:9001", "/run/php/alice.sock")
    ]
    answers(steps, {**statement("alice"), "provisioned": True})
    (sentence,) = discovered(tmp_path, read("alice", pools=pools)).accounts[0].unfit
    assert sentence.startswith("A pool of PHP of alice listens at 127.0.0.1:9001, where it cannot be shut")


def test_messages_that_lie_elsewhere_are_told_whoever_describes_the_account(steps: OwnSteps, tmp_path: Path) -> None:
    box = Mailbox(address="a@alice.example", password_hash="!", folder="maildir:/var/vmail/alice", owner=150)
    answers(steps, {**statement("alice"), "provisioned": True})
    (alice,) = discovered(tmp_path, read("alice", mail_domains=["alice.example"], mailboxes=[box])).accounts
    assert len(alice.unfit) == 2 and "lie in maildir:/var/vmail/alice" in alice.unfit[0]


def test_messages_whose_place_the_host_names_are_carried_from_there(steps: OwnSteps, tmp_path: Path) -> None:
    place = {"maildir": "/var/vmail/alice.example/a", "home": "/var/vmail/alice.example/a"}
    box = Mailbox(address="a@alice.example", password_hash="!", folder=f"maildir:{place['maildir']}", owner=150)
    mail = {
        "domains": ["alice.example"],
        "mailboxes": [{"address": box.address, "password_hash": "{PLAIN}x", "place": place}],
    }
    answers(steps, {**statement("alice"), "mail": mail, "provisioned": True})
    (alice,) = discovered(tmp_path, read("alice", mail_domains=["alice.example"], mailboxes=[box])).accounts
    assert alice.unfit == []


def test_what_keeps_an_account_from_being_one_is_told_whoever_describes_it(steps: OwnSteps, tmp_path: Path) -> None:
    shared = Discovered(name="alice", uid=1, gid=1, home="/home/alice", shell="/bin/sh", unfit=["Its group is bob's."])
    answers(steps, statement("alice"))
    assert discovered(tmp_path, shared).accounts[0].unfit == ["Its group is bob's."]


def test_extras_that_cannot_go_over_are_told(steps: OwnSteps, tmp_path: Path) -> None:
    (tmp_path / "etc/logrotate.d").mkdir(parents=True)
    (tmp_path / "etc/logrotate.d/alice").write_text("/var/log/alice/*.log {\n    daily\n}\n")
    paths = ["/etc/logrotate.d/alice", "/etc/logrotate.d/gone", "/srv/panel/alice.conf"]
    answers(steps, {**statement("alice"), "extras": paths})
    (alice,) = discovered(tmp_path).accounts
    assert [sentence.partition(" ")[0] for sentence in alice.unfit] == paths[1:]
    assert all("let provision make it" in sentence for sentence in alice.unfit)


@pytest.mark.parametrize(
    "file", [{"account": "alice"}, {**statement("alice"), "quota": 5}, {}, {**statement("alice"), "home": "/etc"}]
)
def test_what_is_no_account_file_is_told_and_never_dropped(steps: OwnSteps, tmp_path: Path, file: Any) -> None:
    answers(steps, file, statement("carol"), statement("carol"))
    told = discovered(tmp_path)
    assert [each.name for each in told.accounts] == ["carol"]
    assert str(steps.steps / "discover") in told.unclear[0] and "names carol twice" in told.unclear[1]


def test_whom_it_describes_wrongly_is_not_adopted_by_the_configuration(steps: OwnSteps, tmp_path: Path) -> None:
    answers(steps, {**statement("alice"), "quota": 5})
    (alice,) = discovered(tmp_path, read("alice")).accounts
    (sentence,) = alice.unfit
    assert "discover names alice: The account file has the key" in sentence


@pytest.mark.parametrize(
    "answer",
    ["", "yes", "[]", "{}", '{"accounts": {}}', '{"accounts": [1]}', '{"accounts": [], "unclear": "a"}', "[" * 100_000],
)
def test_what_is_no_answer_is_refused(steps: OwnSteps, tmp_path: Path, answer: str) -> None:
    steps.put(
        "discover",
        does=f"answer = {answer[:9]!r} * {max(1, len(answer) // 9)}" if len(answer) > 99 else f"answer = {answer!r}",
    )
    with pytest.raises(Refused, match="is not what it must be.*correct it") as refused:
        discovered(tmp_path, read("bob"))
    assert refused.value.code == "step_failed" and refused.value.message.isprintable()


def test_a_rehearsal_asks_what_there_is_and_takes_its_time(steps: OwnSteps) -> None:
    alice = Account.from_json(statement("alice"))
    assert provisioning.rehearse(alice, "close", "open") == 0
    steps.put("close", "open", does="time.sleep(0.1)", rehearsals=True)
    assert provisioning.rehearse(alice, "close", "open") > 0.2
    assert steps.asked == ["web-1 close (rehearsal)", "web-1 open (rehearsal)"]
    steps.put("open", does="sys.exit(3)")
    with pytest.raises(Refused, match=r"open says: \"\(nothing; it ended with 3\)\""):
        provisioning.rehearse(alice, "close", "open")


def test_what_is_wrong_is_a_sentence_that_says_what_to_do(steps: OwnSteps) -> None:
    assert (provisioning.present(), provisioning.wrong()) == ([], [])
    steps.put("close", "provision")
    (steps.steps / "provison").touch()
    (steps.steps / ".git").mkdir()
    (steps.steps / "provision").chmod(0o777)
    assert provisioning.present() == ["provision", "close"]
    misspelt, unsafe, without_open = provisioning.wrong()
    assert "provison is no step; the steps are discover, provision, close, open: rename it" in misspelt
    assert "can be written by others than root. Put that right, or remove the step." in unsafe
    assert "and no" in without_open and without_open.endswith("or remove the first.")
    with pytest.raises(Refused, match="that undoes it"):
        provisioning.rehearse(Account.from_json(statement("alice")))

    steps.put("open")
    (steps.steps / "provision").chmod(0o755)
    (steps.steps / "provison").unlink()
    alice = Account.from_json(statement("alice"))
    save(alice)
    alice.directory.mkdir(parents=True)
    provisioning.expect_open(alice)
    assert provisioning.waits(alice) and provisioning.wrong() == []
    steps.put("open", does="print('No \\x1b panel.'); sys.exit(1)")
    provisioning.let_in(alice, None)
    (sentence,) = provisioning.wrong()
    assert sentence.startswith("Visitors of alice may still be kept waiting. ") and sentence.isprintable()


def test_a_step_that_is_gone_at_its_moment_is_a_refusal(steps: OwnSteps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provisioning, "has", lambda _step: True)
    with pytest.raises(Refused, match="cannot be started"):
        provisioning.close(Account.from_json(statement("alice")), 5)
