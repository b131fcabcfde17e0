"""The inventory that the demo applies says what the lab has."""

from __future__ import annotations

from include.inventory import text
from lab import topology
from lab.demo import stage


def test_each_server_has_the_addresses_of_the_lab() -> None:
    servers = {server.name: server for server in text.read(stage.HOST.read_text()).servers}
    assert servers.keys() == {stage.ORIGINAL, stage.TRANSIT, stage.TEST}
    for name, server in servers.items():
        laid = topology.server(name)
        addresses = (server.management_address, server.lan_address, server.lan_address6)
        assert addresses == (laid.spec.management_address, laid.spec.lan_address, laid.spec.lan_address6)
        assert server.service_addresses == laid.ips
        assert server.kind == laid.kind


def test_it_is_of_the_plan_and_the_customer_that_the_demo_speaks_of() -> None:
    document = text.read(stage.HOST.read_text())
    assert [plan.name for plan in document.plans] == [stage.PLAN]
    assert [customer.name for customer in document.customers] == [stage.CUSTOMER]
    assert {server.name: server.infrastructure for server in document.servers} == {
        stage.ORIGINAL: stage.OLD,
        stage.TRANSIT: stage.NEW,
        stage.TEST: stage.NEW,
    }
