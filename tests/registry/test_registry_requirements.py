"""What the doctor said last stands there, and nothing else."""

from __future__ import annotations

import pytest

from include import registry
from include.moves.requirements import Judged
from tests.registry import host

WELL, ILL = Judged("rsync", True, "It is well."), Judged("clock", False, "It is ahead: set it.")


def told(conn) -> list[tuple[str, str, bool, str]]:
    found = registry.judged_requirements(conn)
    return [(each.server, each.requirement, each.met, each.sentence) for each in found]


def test_what_was_said_last_is_what_is_told(conn):
    host.add_host(conn)
    registry.record_judged(conn, "vps-1", [ILL, WELL])
    registry.record_judged(conn, "transit-1", [WELL])
    assert [line[:2] for line in told(conn)] == [("transit-1", "rsync"), ("vps-1", "clock"), ("vps-1", "rsync")]
    registry.record_judged(conn, "vps-1", [WELL])
    assert [line[:2] for line in told(conn)] == [("transit-1", "rsync"), ("vps-1", "rsync")]
    registry.record_judgement(conn, "vps-1", Judged("rsync", False, "It is old."))
    assert told(conn)[-1] == ("vps-1", "rsync", False, "It is old.")
    assert [one.server for one in registry.judged_requirements(conn, requirement="rsync")] == ["transit-1", "vps-1"]


def test_another_host_key_is_pinned_where_accounts_live_only_if_a_person_has_compared_it(conn):
    host.add_host(conn)
    with pytest.raises(registry.RegistryRefused, match="another host key"):
        registry.enrol_server(conn, "vps-1", "2022", host.KEY + "other", {})
    registry.enrol_server(conn, "vps-1", "2022", host.KEY + "other", {}, confirmed_by="anna")
    assert registry.server(conn, "vps-1").host_key == host.KEY + "other"
    enrolled = registry.list_events(conn, server="vps-1")[-1]
    assert (enrolled.kind, enrolled.by) == ("server.enrolled", "anna")
