"""What is asked of a router, and what its answers mean."""

from __future__ import annotations

import json

import pytest

from include.network.routes import RouteError, current_next_hop, replace_argv, reroute, show_argv
from lab.route_command import NotPermitted, permitted


class Router:
    """Keeps routes as a router does, and what it was asked."""

    def __init__(self, **routes):
        self.routes, self.asked = routes, []

    def __call__(self, argv):
        self.asked.append(argv)
        if "show" in argv:
            hop = self.routes.get(argv[-1])
            return json.dumps([{"dst": argv[-1], "gateway": hop, "dev": "lan"}] if hop else [])
        self.routes[argv[-3]] = argv[-1]
        return ""


def test_argv():
    assert replace_argv("198.51.100.11", "10.30.0.21") == (
        ["ip", "route", "replace", "198.51.100.11/32", "via", "10.30.0.21"]
    )
    assert replace_argv("2001:db8:100::b", "fd30::21") == (
        ["ip", "-6", "route", "replace", "2001:db8:100::b/128", "via", "fd30::21"]
    )
    assert show_argv("198.51.100.11") == ["ip", "-j", "route", "show", "198.51.100.11/32"]


def test_reroute_is_one_replace_and_nothing_is_deleted():
    router = Router(**{"198.51.100.11/32": "10.30.0.11"})
    assert reroute(router, "198.51.100.11", "10.30.0.21") == "10.30.0.11"
    assert [argv for argv in router.asked if "show" not in argv] == [
        ["ip", "route", "replace", "198.51.100.11/32", "via", "10.30.0.21"]
    ]
    asked = len(router.asked)
    assert reroute(router, "198.51.100.11", "10.30.0.21") == "10.30.0.21"
    assert len(router.asked) == asked + 1, "the second time only looks"


def test_addresses_are_compared_as_addresses():
    router = Router(**{"2001:db8:100::b/128": "fd30::21"})
    assert reroute(router, "2001:db8:100:0:0::000b", "fd30:0::0021") == "fd30::21"


def test_a_router_that_does_not_obey_is_told_of():
    with pytest.raises(RouteError, match="is routed to nowhere, not 10.30.0.21"):
        reroute(lambda argv: "[]", "198.51.100.11", "10.30.0.21")
    with pytest.raises(RouteError, match="no list of routes"):
        current_next_hop(lambda argv: "oops", "198.51.100.11")


@pytest.mark.parametrize("ip, hop", [("nonsense", "10.30.0.21"), ("198.51.100.11", "fd30::21"), ("1.2.3.4", "; id")])
def test_bad_addresses_are_refused(ip, hop):
    with pytest.raises(RouteError):
        replace_argv(ip, hop)


@pytest.mark.parametrize(
    "command",
    [
        "ip route show",
        "ip -j route show 198.51.100.11/32",
        "ip -6 -j route show 2001:db8:100::11/128",
        "ip route get 198.51.100.11",
        "ip route replace 198.51.100.11/32 via 10.30.0.21",
        "ip -6 route replace 2001:db8:100::11/128 via fd30::21",
    ],
)
def test_the_routers_key_permits(command):
    assert permitted(command)[1:] == command.split()[1:]


@pytest.mark.parametrize(
    "command",
    [
        "",
        "id",
        "ip",
        "ip route",
        "ip route flush 198.51.100.11/32",
        "ip route delete 198.51.100.11/32",
        "ip route replace 198.51.100.11/32 via 10.20.0.2",
        "ip route replace 198.51.100.0/24 via 10.30.0.21",
        "ip route replace 10.20.0.2/32 via 10.30.0.21",
        "ip route replace default via 10.30.0.21",
        "ip route replace 198.51.100.11/32 via 10.30.0.21 dev lo",
        "ip route replace 2001:db8:100::11/128 via fd30::21",
        "ip -b /etc/shadow route show",
        "ip route show 198.51.100.11/32; id",
    ],
)
def test_the_routers_key_refuses(command):
    with pytest.raises(NotPermitted):
        permitted(command)
