"""Servers of the host's own making among the steps: one that was just installed is prepared before anything else."""

from __future__ import annotations

from typing import Any, cast

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include import registry
from include.hosts import NO_AGENT, Host
from include.moves import enrol, unclaimed
from include.registry import RegistryRefused
from tests.dags.hosting import FakeHost, Hosting
from tests.dags.steps import step


def install(hosting: Hosting, infrastructure: str) -> Host:
    """vps-1, as it comes from the machines."""
    server = hosting.servers["vps-1"]
    server.infrastructure, server.agent = infrastructure, NO_AGENT
    registry.enrol_server(hosting.conn, "vps-1", infrastructure, server.host_key, {})
    hosting.log.clear()
    return cast(Host, FakeHost(hosting, "vps-1"))


def test_it_is_prepared_before_its_mail_is_told_by_which_address_to_leave(hosting: Hosting) -> None:
    """Until then its agent would take it for one of ours."""
    agent = install(hosting, "2026-classic")
    assert enrol.enrol(hosting.conn, "vps-1", "2026-classic", agent).layout == "classic"
    order = [verb for _, verb in hosting.log]
    assert order == ["start", "accept_ips", "send_mail_from", "describe", "start"], "and looked at last"
    files = hosting.args["prepare"]["files"]
    assert {"/etc/transhumance/front/haproxy.cfg", "/etc/transhumance/front/hold.lua"} <= {*files}
    assert registry.server(hosting.conn, "vps-1").infrastructure == "2026-classic"


def test_what_is_installed_with_it_is_signed_for_by_its_enrolment(hosting: Hosting) -> None:
    """It would not be empty otherwise, as a transit must be; what comes later is nobody's."""
    agent = install(hosting, "2026-classic")
    stock = {"kind": "files", "name": "/etc/opendkim/", "sentence": "/etc/opendkim/ belongs to no account."}
    hosting.servers["vps-1"].unclaimed = [stock]
    enrol.enrol(hosting.conn, "vps-1", "2026-classic", agent)
    (signed,) = registry.unclaimed_of(hosting.conn, "vps-1")
    assert (signed.name, signed.signed_by) == ("/etc/opendkim/", "enrolment")
    hosting.servers["vps-1"].unclaimed = [stock, {**stock, "name": "/srv/erp/"}]
    unclaimed.look(hosting.conn, "vps-1", agent)
    assert [each.name for each in registry.unclaimed_of(hosting.conn, "vps-1") if each.signed_by is None] == [
        "/srv/erp/"
    ]


def test_one_of_ours_is_not(hosting: Hosting) -> None:
    enrol.enrol(hosting.conn, "vps-1", "2026", install(hosting, "2026"))
    assert "start" not in [verb for _, verb in hosting.log]


def test_one_that_is_laid_out_otherwise_is_refused(hosting: Hosting) -> None:
    hosting.servers["vps-1"].layout = "classic"
    with pytest.raises(RegistryRefused, match="has the layout classic, and infrastructure 2026 is native"):
        enrol.enrol(hosting.conn, "vps-1", "2026", install(hosting, "2026"))


def own(hosting: Hosting) -> None:
    """web-1 is one of the host's own."""
    server = hosting.servers["web-1"]
    server.infrastructure, server.layout = "2026-classic", "native"
    registry.enrol_server(hosting.conn, "web-1", "2026-classic", server.host_key, {})


def prepare(dags: Any, server: str, take_away: bool = False) -> list[str]:
    return step(dags["prepare_server"], "prepare", params={"server": server, "take_away": take_away})


def test_one_that_is_there_already_is_prepared_and_made_as_it_was(dags, hosting: Hosting) -> None:
    own(hosting)
    prepare(dags, "web-1")
    asked = hosting.args["prepare"]
    assert asked["fronts"] == [hosting.servers["vps-1"].address], "its own front is not another's"
    judged = {each.requirement: each.met for each in registry.judged_requirements(hosting.conn, "web-1")}
    assert judged["layout"] is True, "the doctor has looked again"
    prepare(dags, "web-1")
    assert len({each for each in hosting.started if each.startswith("prepare-")}) == 2, "each time anew"
    prepare(dags, "web-1", take_away=True)
    judged = {each.requirement: each.met for each in registry.judged_requirements(hosting.conn, "web-1")}
    assert hosting.args["unprepare"] == {} and judged["layout"] is False


def test_what_is_still_to_be_done_there_is_told(dags, hosting: Hosting) -> None:
    own(hosting)
    to_do = "PHP 8.4 was never idle for 10 s: type systemctl reload php8.4-fpm there."
    hosting.to_do = [to_do]
    assert to_do in prepare(dags, "web-1")


def test_what_is_in_the_way_there_ends_the_run_with_its_sentence(dags, hosting: Hosting) -> None:
    own(hosting)
    hosting.failing["prepare"] = ("unfit", "A front needs haproxy: install what brings it.")
    with pytest.raises(AirflowFailException, match="A front needs haproxy"):
        prepare(dags, "web-1")


def test_a_server_of_ours_is_not_prepared(dags, hosting: Hosting) -> None:
    with pytest.raises(AirflowFailException, match="whose servers are not the host's own: give it one of the layout"):
        prepare(dags, "vps-1")
    assert "prepare" not in hosting.args
