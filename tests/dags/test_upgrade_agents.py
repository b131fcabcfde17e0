"""`upgrade_agents` and the doctor: each server for itself, and who is at work keeps what it has."""

from __future__ import annotations

from typing import Any

import pytest

from include import registry
from include.hosts import agent_digest
from tests.dags.hosting import Hosting
from tests.dags.steps import step


def upgrade(dags: Any, server: str | None = None) -> str:
    return step(dags["upgrade_agents"], "upgrade", params={"server": server})


def doctor(dags: Any, server: str | None = None) -> list[str]:
    return step(dags["look_at_servers"], "doctor", params={"server": server})


def judged(hosting: Hosting, server: str) -> dict[str, str | None]:
    """What is not met, by requirement; None where it is."""
    found = registry.judged_requirements(hosting.conn, server)
    return {each.requirement: None if each.met else each.sentence for each in found}


def test_every_server_gets_it_once(dags, hosting):
    said = upgrade(dags)
    assert {server.agent for server in hosting.servers.values()} == {agent_digest()}
    assert said.count("It has the agent of this orchestrator") == 2 and "vps-1" in said and "web-1" in said
    pushed = [event for event in registry.list_events(hosting.conn) if event.kind == "server.upgraded"]
    assert upgrade(dags) == said
    again = [event for event in registry.list_events(hosting.conn) if event.kind == "server.upgraded"]
    assert {event.server for event in pushed} == {"vps-1", "web-1"} and again == pushed


def test_one_that_is_at_work_or_away_keeps_nobody_waiting(dags, hosting):
    hosting.servers["vps-1"].at_work = "m1-e2-copy"
    with pytest.raises(registry.RegistryRefused, match=r"1 of 2 servers have not taken the agent.*m1-e2-copy"):
        upgrade(dags)
    assert hosting.servers["web-1"].agent == agent_digest() != hosting.servers["vps-1"].agent
    assert "m1-e2-copy" in (judged(hosting, "vps-1")["agent"] or "") and judged(hosting, "web-1")["agent"] is None
    hosting.servers["vps-1"].at_work = None
    hosting.servers["web-1"].on = False
    with pytest.raises(registry.RegistryRefused, match="web-1 cannot be reached"):
        upgrade(dags)
    assert hosting.servers["vps-1"].agent == agent_digest()
    assert "cannot be reached" in (judged(hosting, "web-1")["agent"] or "")


def test_one_alone(dags, hosting):
    assert "vps-1" in upgrade(dags, "vps-1") and hosting.servers["web-1"].agent != agent_digest()
    with pytest.raises(registry.RegistryRefused, match="transit-1 is not enrolled: type python -m cli enrol transit-1"):
        upgrade(dags, "transit-1")


def test_the_doctor_keeps_a_line_for_each_requirement(dags, hosting):
    hosting.servers["web-1"].readiness = {"missing_programs": ["nft"], "sshd": {"permitrootlogin": "no"}}
    said = doctor(dags)
    lines = judged(hosting, "web-1")
    assert set(lines) > {"enrolled", "reached", "agent", "infrastructure", "rsync", "sshd", "clock", "postgresql"}
    assert lines["programs"] == "web-1 lacks nft: install what brings them." and lines["programs"] in said
    assert lines["sshd"] in said and lines["rsync"] is None and lines["services"] is None
    assert "python -m cli upgrade" in (lines["agent"] or "")
    assert judged(hosting, "transit-1") == {"enrolled": None}, "it is installed when a migration gets it"


def test_the_doctor_sees_one_alone_and_tells_who_does_not_answer(dags, hosting):
    hosting.servers["web-1"].on = False
    assert doctor(dags, "web-1") == ["web-1: web-1 cannot be reached."]
    assert judged(hosting, "web-1") == {"enrolled": None, "reached": "web-1: web-1 cannot be reached."}
    assert judged(hosting, "vps-1") == {}
    hosting.servers["web-1"].on = True
    assert doctor(dags, "web-1") and judged(hosting, "web-1")["reached"] is None
