"""`enrol_server`: a server that is there already, over a connection as root that stands in for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include import registry
from include.hosts import agent_digest
from include.hosts.root_access import Access
from include.moves import enrol
from include.moves.enrol import Enrolment
from tests.dags.hosting import Hosting
from tests.dags.steps import step
from transhumance_airflow import connections

SSHD = {"permitrootlogin": "yes", "pubkeyauthentication": "yes"}


class FakeRoot:
    """`include.hosts.root_access.RootAccess` of a server of the host in memory."""

    facts: dict[str, Any] = {}
    let: list[str] = []

    def __init__(self, name: str, access: Access, judge: Callable[[str], None]) -> None:
        self.name, self.host_key = name, self.keys[name]
        judge(self.host_key)

    keys: dict[str, str] = {}

    def __enter__(self) -> FakeRoot:
        return self

    def __exit__(self, *_: object) -> None: ...

    def look(self) -> dict[str, Any]:
        return self.facts

    def let_in(self, public_key: str) -> list[str]:
        self.let.append(f"{self.name} {public_key}")
        return ["/root/.ssh/authorized_keys"]


@pytest.fixture
def root(hosting: Hosting, monkeypatch: pytest.MonkeyPatch) -> type[FakeRoot]:
    monkeypatch.setattr(enrol, "RootAccess", FakeRoot)
    monkeypatch.setattr(FakeRoot, "facts", {"versions": {"python": "3.11.2"}, "readiness": {"sshd": SSHD}})
    monkeypatch.setattr(FakeRoot, "keys", {name: server.host_key for name, server in hosting.servers.items()})
    monkeypatch.setattr(FakeRoot, "let", [])

    def asked(_conn: Any, params: dict[str, Any]) -> Enrolment:
        access = Access("10.20.0.31", password="secret")
        return Enrolment(params["server"], access, "ssh-ed25519 AAAA", params["host_key"], "anna")

    monkeypatch.setattr(connections, "enrolment", asked)
    return FakeRoot


def run(dags: Any, server: str = "web-1", host_key: str | None = None) -> list[str]:
    return step(dags["enrol_server"], "enrol", params={"server": server, "host_key": host_key})


def unpin(hosting: Hosting, server: str) -> None:
    hosting.conn.execute("UPDATE servers SET host_key = NULL WHERE name = %s", [server])


def test_a_server_that_is_there_is_enrolled_and_doctored(dags, hosting, root):
    unpin(hosting, "web-1")
    said = run(dags)
    assert said[:2] == [
        f"web-1 is enrolled; its host key is {enrol.fingerprint(root.keys['web-1'])}.",
        "Written there: /root/.ssh/authorized_keys.",
    ]
    record = registry.server(hosting.conn, "web-1")
    assert record.host_key == root.keys["web-1"] and record.versions["rsync"] == "3.5.0"
    assert hosting.servers["web-1"].agent == agent_digest() and root.let == ["web-1 ssh-ed25519 AAAA"]
    assert registry.judged_requirements(hosting.conn, "web-1") and run(dags)[0] == said[0]


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"versions": {"python": "3.9.2"}, "readiness": {"sshd": SSHD}}, "Python 3.9.2"),
        ({"versions": {"python": "3.11.2"}, "readiness": {"sshd": {"permitrootlogin": "no"}}}, "PermitRootLogin"),
        ({"versions": {"python": "3.11.2"}, "readiness": {"sshd": {}}}, "type sshd -t"),
    ],
)
def test_what_keeps_the_orchestrator_out_is_told_before_anything_is_written(dags, hosting, root, facts, sentence):
    root.facts = facts
    with pytest.raises(AirflowFailException, match=sentence):
        run(dags)
    assert root.let == []


def test_another_host_key_needs_a_person_who_has_compared_it(dags, hosting, root):
    pinned = registry.server(hosting.conn, "vps-1").host_key
    root.keys["vps-1"] = hosting.servers["vps-1"].host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"
    with pytest.raises(AirflowFailException, match="the registry has"):
        run(dags, "vps-1")
    assert root.let == [] and registry.server(hosting.conn, "vps-1").host_key == pinned
    run(dags, "vps-1", enrol.fingerprint(root.keys["vps-1"]))
    assert registry.server(hosting.conn, "vps-1").host_key == root.keys["vps-1"]
    enrolled = [
        event for event in registry.list_events(hosting.conn, server="vps-1") if event.kind == "server.enrolled"
    ]
    assert enrolled[-1].by == "anna"
