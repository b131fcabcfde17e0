"""Routes and names are changed as the DAGs change them, and visitors see it."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from include.network.names import NameChanged, Names, NameServerFailed
from include.network.routes import current_next_hop, reroute
from lab import names as lab_names
from lab import router, state
from lab.say import LabError
from tests.lab.handles import Lab, Running

# connects again and again for 2 s; prints how often, how often in vain, and the longest wait in seconds
PROBE = """
import socket, sys, time
end, made, failed, longest = time.monotonic() + 2, 0, 0, 0.0
while (began := time.monotonic()) < end:
    try:
        socket.create_connection((sys.argv[1], 22), timeout=3).close()
        made += 1
    except OSError:
        failed += 1
    longest = max(longest, time.monotonic() - began)
    time.sleep(0.01)
print(made, failed, longest)
"""


def test_an_ip_follows_its_route_and_no_connection_fails(lab: Lab, pair: tuple[Running, Running]) -> None:
    old, new = pair
    for number, hops in (
        (0, (old.spec.lan_address, new.spec.lan_address)),
        (1, (old.spec.lan_address6, new.spec.lan_address6)),
    ):
        ip = old.server.ips[number]
        for server in (old, new):
            lab.root(server.name, ["ip", "address", "replace", ip, "dev", "lo"])
        assert current_next_hop(lab.route, ip) == hops[0]
        command = state.in_ns("th-visitor", [sys.executable, "-c", PROBE, ip])
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as probe:
            time.sleep(0.5)
            assert reroute(lab.route, ip, hops[1]) == hops[0]
            assert reroute(lab.route, ip, hops[1]) == hops[1]
            made, failed, longest = probe.communicate(timeout=20)[0].split()
        assert failed == "0" and int(made) > 20
        assert float(longest) < 0.9, "a packet was lost: TCP sends its first again after a second"
        family = ["-6"] if number else []
        lab.root(old.name, ["ip", *family, "address", "delete", f"{ip}/{128 if number else 32}", "dev", "lo"])
        assert lab.in_ns("th-visitor", [sys.executable, "-c", PROBE, ip]).stdout.split()[1] == "0"
        assert reroute(lab.route, ip, hops[0]) == hops[1]


def test_the_routers_key_can_do_nothing_else(lab: Lab) -> None:
    for argv in (["id"], ["ip", "link"], ["ip", "route", "replace", "0.0.0.0/0", "via", "10.30.0.31"]):
        with pytest.raises(LabError, match="refused"):
            router.execute(argv)


def test_a_name_is_swapped_once_and_seen_by_resolvers(lab: Lab) -> None:
    fqdn = "test-lab-network.example"
    try:
        assert lab.names.point(fqdn, "A", None, "198.51.100.31", 5)
        assert not lab.names.point(fqdn, "A", None, "198.51.100.31", 5)
        assert lab.names.current(fqdn, "A") == "198.51.100.31"
        assert lab_names.resolve(fqdn) == "198.51.100.31"
        with pytest.raises(NameChanged, match="holds 198.51.100.31, not 198.51.100.99"):
            lab.names.point(fqdn, "A", "198.51.100.99", "198.51.100.32", 5)
        assert lab.names.point(fqdn, "A", "198.51.100.31", "198.51.100.32", 5)
        assert lab.names.point(fqdn, "A", "198.51.100.32", "198.51.100.32", 60), "a new TTL alone"
        assert lab.names.current(fqdn, "AAAA") is None
        assert lab.names.point(fqdn, "AAAA", None, "2001:db8:100::32", 5)
    finally:
        for rdtype in ("A", "AAAA"):
            lab.names.point(fqdn, rdtype, lab.names.current(fqdn, rdtype), None, 5)
    assert lab.names.current(fqdn, "A") is None


def test_a_wrong_key_changes_nothing(lab: Lab) -> None:
    wrong = Names(lab.names.server, lab.names.zone, lab.names.key_name, "AAAA" * 8)
    with pytest.raises(NameServerFailed):
        wrong.point("test-wrong-key.example", "A", None, "198.51.100.31", 5)
    assert lab.names.current("test-wrong-key.example", "A") is None
