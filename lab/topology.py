"""Who is where: the servers as data, and the namespaces, bridges, addresses and routes between them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass

from include.machines import MachineSpec
from lab.say import LabError
from lab.state import in_ns, run

ROUTER, DNS, VISITOR, OPS = "th-router", "th-dns", "th-visitor", "th-ops"
NAMESPACES = (ROUTER, DNS, VISITOR, OPS)
ROUTER_MANAGEMENT = "10.20.0.1"
OPS_ADDRESS = "10.20.0.2"
VISITOR_ADDRESS, VISITOR_ADDRESS6 = "203.0.113.10", "2001:db8:203::10"
NAME_SERVER, NAME_SERVER6 = "192.0.2.53", "2001:db8:53::53"
RESOLVER, RESOLVER6 = "192.0.2.54", "2001:db8:53::54"


@dataclass(frozen=True)
class Server:
    """A server of the lab. `number` is the last part of each of its addresses."""

    name: str
    number: int
    kind: str

    @property
    def spec(self) -> MachineSpec:
        """What `include.machines` installs it from."""
        return MachineSpec(
            name=self.name,
            management_address=f"10.20.0.{self.number}",
            lan_address=f"10.30.0.{self.number}",
            lan_address6=f"fd30::{self.number}",
            router_address="10.30.0.1",
            router_address6="fd30::1",
        )

    @property
    def ips(self) -> tuple[str, str]:
        """Its own service IPs, IPv4 and IPv6: what visitors know."""
        return f"198.51.100.{self.number}", f"2001:db8:100::{self.number}"


SERVERS = {
    server.name: server
    for server in (
        Server("vps-1", 11, "vps"),
        Server("shared-1", 12, "shared"),
        Server("shared-2", 13, "shared"),
        Server("database-1", 14, "database"),
        Server("transit-1", 21, "transit"),
        Server("test-1", 22, "test"),
        *(Server(f"scratch-{number}", number, "scratch") for number in range(31, 64)),
    )
}


def server(name: str) -> Server:
    """The server of this name. Raises LabError."""
    if name not in SERVERS:
        raise LabError(f"The lab has no server {name!r}: use one of {', '.join(SERVERS)}.")
    return SERVERS[name]


# With fixed addresses: a bridge without one takes that of a port, and every neighbour loses its gateway for half a
# minute when that port's server is wiped.
BRIDGES = {"mgmt": "02:00:0a:14:00:01", "lan": "02:01:0a:1e:00:01"}
BRIDGE = ("stp_state", "0", "mcast_snooping", "0")
# (namespace, its interface there, the router's port, the bridge that port belongs to)
LINKS = (
    (OPS, "eth0", "ops", "mgmt"),
    (DNS, "eth0", "dns", None),
    (VISITOR, "eth0", "visitors", None),
)
ADDRESSES = (
    (ROUTER, "mgmt", ("10.20.0.1/24", "fd20::1/64")),
    (ROUTER, "lan", ("10.30.0.1/24", "fd30::1/64")),
    (ROUTER, "dns", ("192.0.2.1/24", "2001:db8:53::1/64")),
    (ROUTER, "visitors", ("203.0.113.1/24", "2001:db8:203::1/64")),
    (OPS, "eth0", (f"{OPS_ADDRESS}/24", "fd20::2/64")),
    (DNS, "eth0", (f"{NAME_SERVER}/24", f"{RESOLVER}/24", f"{NAME_SERVER6}/64", f"{RESOLVER6}/64")),
    (VISITOR, "eth0", (f"{VISITOR_ADDRESS}/24", f"{VISITOR_ADDRESS6}/64")),
)
GATEWAYS = (
    (OPS, "10.20.0.1", "fd20::1"),
    (DNS, "192.0.2.1", "2001:db8:53::1"),
    (VISITOR, "203.0.113.1", "2001:db8:203::1"),
)
# inside the namespaces only; a router that sent redirects would teach servers ways past itself
SYSCTLS = {
    None: ("net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0"),
    ROUTER: (
        "net.ipv4.ip_forward=1",
        "net.ipv6.conf.all.forwarding=1",
        "net.ipv4.conf.all.send_redirects=0",
        "net.ipv4.conf.default.send_redirects=0",
        "net.ipv4.conf.all.rp_filter=0",
        "net.ipv4.conf.default.rp_filter=0",
    ),
}


def up() -> None:
    """Make what is missing of the network. Routes that a reroute has changed stay as they are."""
    existing = namespaces()
    for namespace in NAMESPACES:
        if namespace not in existing:
            run(["ip", "netns", "add", namespace])
        settings = SYSCTLS[None] + SYSCTLS.get(namespace, ())
        run(in_ns(namespace, ["sysctl", "-q", "-w", *settings]))
        ip(namespace, "link", "set", "lo", "up")
    for bridge, mac in BRIDGES.items():
        if not has_link(ROUTER, bridge):
            ip(ROUTER, "link", "add", bridge, "address", mac, "type", "bridge", *BRIDGE)
    for namespace, inside, port, attached_to in LINKS:
        if not has_link(ROUTER, port):
            ip(ROUTER, "link", "add", port, "type", "veth", "peer", "name", inside, "netns", namespace)
        if attached_to:
            ip(ROUTER, "link", "set", port, "master", attached_to)
        ip(ROUTER, "link", "set", port, "up")
        ip(namespace, "link", "set", inside, "up")
    for namespace, interface, addresses in ADDRESSES:
        ip(namespace, "link", "set", interface, "up")
        for address in addresses:
            nodad = ["nodad"] if ":" in address else []
            ip(namespace, "address", "replace", address, "dev", interface, *nodad)
    for namespace, gateway, gateway6 in GATEWAYS:
        ip(namespace, "route", "replace", "default", "via", gateway)
        ip(namespace, "-6", "route", "replace", "default", "via", gateway6)
    routed = {
        route["dst"]
        for family in ("-4", "-6")
        for route in json.loads(run(["ip", "-n", ROUTER, family, "-j", "route", "show"]))
    }
    for server in SERVERS.values():
        for address, hop in zip(server.ips, (server.spec.lan_address, server.spec.lan_address6), strict=True):
            if address not in routed:
                ip(ROUTER, "route", "replace", address, "via", hop)


def down() -> None:
    """Remove the namespaces, and with them every bridge, address and route."""
    for namespace in NAMESPACES:
        if namespace in namespaces():
            run(["ip", "netns", "delete", namespace])


def namespaces() -> list[str]:
    """Which of the lab's namespaces exist."""
    names = {line.split()[0] for line in run(["ip", "netns", "list"]).splitlines() if line.strip()}
    return [namespace for namespace in NAMESPACES if namespace in names]


def ip(namespace: str, *argv: str) -> None:
    """Run `ip` for a namespace."""
    run(["ip", "-n", namespace, *argv])


def has_link(namespace: str, name: str) -> bool:
    """Whether a namespace has an interface of this name."""
    shown = subprocess.run(["ip", "-n", namespace, "link", "show", "dev", name], capture_output=True)
    return shown.returncode == 0
