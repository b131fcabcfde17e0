"""Servers of the host's own making among the steps: one that was just installed is prepared before anything else."""

from __future__ import annotations

import pytest

from include import registry
from include.hosts import NO_AGENT
from include.moves import enrol
from include.registry import RegistryRefused
from tests.dags.hosting import FakeHost, Hosting


def install(hosting: Hosting, infrastructure: str) -> FakeHost:
    """vps-1, as it comes from the machines."""
    server = hosting.servers["vps-1"]
    server.infrastructure, server.agent = infrastructure, NO_AGENT
    registry.enrol_server(hosting.conn, "vps-1", infrastructure, server.host_key, {})
    hosting.log.clear()
    return FakeHost(hosting, "vps-1")


def test_it_is_prepared_before_its_mail_is_told_by_which_address_to_leave(hosting: Hosting) -> None:
    """Until then its agent would take it for one of ours."""
    agent = install(hosting, "2026-classic")
    assert enrol.enrol(hosting.conn, "vps-1", "2026-classic", agent).layout == "classic"
    assert [verb for _, verb in hosting.log] == ["start", "accept_ips", "send_mail_from", "describe"]
    files = hosting.args["prepare"]["files"]
    assert {"/etc/transhumance/front/haproxy.cfg", "/etc/transhumance/front/hold.lua"} <= {*files}
    assert registry.server(hosting.conn, "vps-1").infrastructure == "2026-classic"


def test_one_of_ours_is_not(hosting: Hosting) -> None:
    enrol.enrol(hosting.conn, "vps-1", "2026", install(hosting, "2026"))
    assert "start" not in [verb for _, verb in hosting.log]


def test_one_that_is_laid_out_otherwise_is_refused(hosting: Hosting) -> None:
    hosting.servers["vps-1"].layout = "classic"
    with pytest.raises(RegistryRefused, match="has the layout classic, and infrastructure 2026 is native"):
        enrol.enrol(hosting.conn, "vps-1", "2026", install(hosting, "2026"))
