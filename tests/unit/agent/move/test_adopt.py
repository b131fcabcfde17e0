"""An account that the host made is registered as it is: nothing of it is made, changed or started."""

from __future__ import annotations

import pwd
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from include.agent import protocol, verbs
from include.agent.account.accounts import Account, State, put_state, state_of, whole
from include.agent.host import system
from include.agent.host.system import Refused
from include.agent.layouts.classic import extras
from include.agent.layouts.native import front, mail
from include.agent.move import shell
from tests.support.two_servers import TwoServers, statement

LOGS = "/etc/logrotate.d/alice"


@pytest.fixture
def classic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TwoServers:
    """A server of the host's own, on which alice lives whom the agent does not know."""
    servers = TwoServers(tmp_path, monkeypatch).at("old")
    root = tmp_path / "old" / "root"
    (root / "etc/logrotate.d").mkdir(parents=True)
    (root / LOGS[1:]).write_text("/var/log/alice/*.log {\n    daily\n}\n")
    monkeypatch.setattr(extras, "ROOT", root)
    monkeypatch.setattr(shell, "extras", extras)
    users = {"alice": SimpleNamespace(pw_name="alice", pw_uid=2001, pw_gid=2001, pw_dir="/home/alice")}
    monkeypatch.setattr(pwd, "getpwnam", users.__getitem__)
    for module, name in ((system, "create_user"), (system, "set_password_hash"), (front, "render_sites")):
        monkeypatch.setattr(module, name, lambda *_, _name=name: pytest.fail(f"{_name} changes something"))
    return servers


def adopt(**changed: Any) -> verbs.Standing:
    return protocol.perform("adopt", {"account_file": {**statement("alice"), "extras": [LOGS], **changed}})


def test_it_serves_from_now_on(classic: TwoServers, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(front, "render_maps", lambda: shown.append("front"))
    monkeypatch.setattr(mail, "render", lambda: shown.append("mail"))
    assert adopt() == verbs.Standing(state="serving", epoch=1)
    account = whole("alice")
    assert account.extras == (LOGS,) and account.adopted.exists() and extras.paths(account) == [LOGS] * 3
    assert shown == ["front", "mail"]
    assert (classic.opened, classic.ran) == ([], [])

    sites: list[dict[str, Any]] = [{"domain": "alice.example", "aliases": [], "root": None}]
    assert adopt(sites=sites) == verbs.Standing(state="serving", epoch=1)
    assert whole("alice").hosts == ["alice.example"]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"uid": 2002}, "has uid 2001"),
        ({"home": "/home/other"}, "is /home/alice here"),
        ({"account": "bob", "extras": []}, "no Unix user bob"),
        ({"extras": ["/etc/cron.daily/alice"]}, "no file of alice's is carried from"),
        ({"extras": ["/etc/logrotate.d/bob"]}, "no file of alice's is carried from"),
    ],
)
def test_who_is_not_as_it_is_said_is_refused(classic: TwoServers, changed: dict[str, Any], why: str) -> None:
    with pytest.raises(Refused, match=why):
        adopt(**changed)
    assert state_of("alice").state == "absent" and not Account.from_json(statement("alice")).adopted.exists()


def test_who_came_by_a_move_is_not_adopted(classic: TwoServers) -> None:
    classic.serve("alice")
    with pytest.raises(Refused, match="is serving here already"):
        adopt()


def test_who_has_left_is_not_adopted_again(classic: TwoServers) -> None:
    adopt()
    put_state("alice", State("held", epoch=1, move="1"))
    put_state("alice", State("moved", epoch=1, move="1", to="10.0.0.2"))
    with pytest.raises(Refused, match="is moved here already"):
        adopt()


def test_a_neighbours_domain_is_not_adopted(classic: TwoServers) -> None:
    adopt(sites=[{"domain": "alice.example", "aliases": [], "root": None}])
    bob = {**statement("bob", 2002), "sites": [{"domain": "alice.example", "aliases": [], "root": None}]}
    with pytest.raises(Refused, match="belongs to the account alice here"):
        protocol.perform("adopt", {"account_file": bob})


def test_a_server_that_makes_its_accounts_itself_adopts_none(
    classic: TwoServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    from include.agent.layouts.native import extras as native

    monkeypatch.setattr(shell, "extras", native)
    with pytest.raises(Refused, match="makes its accounts itself"):
        adopt(extras=[])


def test_who_comes_back_is_in_the_hosts_own_tables_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are as old as the day on which the account left."""
    servers = TwoServers(tmp_path, monkeypatch).at("source")
    servers.serve("alice")
    account = whole("alice")
    account.adopted.touch()
    put_state("alice", State("moved", 2, move="m5", to="10.20.0.21", released=True))
    servers.receive("m6", "alice", 3)
    assert state_of("alice").state == "receiving" and not account.adopted.exists()
