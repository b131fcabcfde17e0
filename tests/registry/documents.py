"""Documents for tests: one that is written, and any that Hypothesis makes up."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

from include.inventory import text
from include.inventory.document import Inventory

HOST: dict[str, list[dict[str, Any]]] = {
    "sites": [{"name": "Zurich"}, {"name": "Bern"}],
    "plans": [
        {
            "name": plan,
            "cpus": 2,
            "memory": "4 GiB",
            "disk": "80 GiB",
            "prices": [{"monthly": "29.90", "currency": "CHF"}],
        }
        for plan in ("S", "M")
    ],
    "customers": [{"name": "Alpine Herders", "mail": "herders@example.net"}, {"name": "Baker"}],
    "servers": [
        {
            "name": "vps-1",
            "kind": "vps",
            "plan": "M",
            "site": "Zurich",
            "customer": "Alpine Herders",
            "infrastructure": "2022",
            "management_address": "10.20.0.11",
            "lan_address": "10.30.0.11",
            "lan_address6": "fd30::11",
            "service_addresses": ["198.51.100.11", "2001:db8:100::11"],
        },
        {
            "name": "web-1",
            "kind": "shared",
            "plan": "S",
            "site": "Zurich",
            "infrastructure": "2022",
            "management_address": "198.51.100.31",
            "service_addresses": ["198.51.100.31", "198.51.100.32"],
        },
        {
            "name": "transit-1",
            "kind": "transit",
            "plan": "M",
            "site": "Zurich",
            "infrastructure": "2026",
            "management_address": "10.20.0.101",
            "lan_address": "10.30.0.101",
            "lan_address6": "fd30::101",
        },
    ],
    "zones": [{"name": "example.net", "primary_server": "192.0.2.53", "key_connection": "names"}],
}


def host(**changes: Any) -> Inventory:
    """The host, with some sections otherwise."""
    return text.read(str({**HOST, **changes}))


def servers(*removed: str, **changed: dict[str, Any]) -> list[dict[str, Any]]:
    """The host's servers without some, and with some otherwise; "web_1" means web-1. A field that is None goes."""
    made = []
    for server in HOST["servers"]:
        fields = {**server, **changed.get(str(server["name"]).replace("-", "_"), {})}
        if server["name"] not in removed:
            made.append({field: value for field, value in fields.items() if value is not None})
    return made


_NAMES = st.text("abcXYZ019 -_.,'\"#:&*!%@äß✓{}[]", min_size=1, max_size=12).filter(
    lambda name: name.strip() == name and name not in text.NOTHING
)
_LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True)
_BASE = date(2020, 1, 1)
_ADDRESS4, _ADDRESS6 = st.ip_addresses(v=4, network="10.0.0.0/8"), st.ip_addresses(v=6, network="2001:db8::/32")


@st.composite
def _prices(draw: st.DrawFn) -> list[dict[str, Any]]:
    days = sorted(draw(st.sets(st.integers(1, 9000), max_size=3)))
    amounts = [draw(st.decimals(0, 10_000, places=2)) for _ in range(len(days) + 1)]
    prices: list[dict[str, Any]] = [{"monthly": str(amount), "currency": "EUR"} for amount in amounts]
    for price, day in zip(prices[1:], days, strict=True):
        price["from"] = str(_BASE + timedelta(days=day))
    return prices


@st.composite
def documents(draw: st.DrawFn) -> Inventory:
    """Any host: names that YAML would take for something else, addresses of every kind, any of them or none."""
    sites, plans, customers = (draw(st.sets(_NAMES, min_size=1, max_size=3)) for _ in range(3))
    with_sites = draw(st.booleans())
    addresses4, addresses6 = (
        draw(st.lists(kind, unique=True, min_size=24, max_size=24)) for kind in (_ADDRESS4, _ADDRESS6)
    )
    made = []
    for name in sorted(draw(st.sets(_LABELS, max_size=4))):
        kind = draw(st.sampled_from(["shared", "dedicated", "vps", "transit", "test", "database"]))
        own = [str(addresses4.pop()) for _ in range(3)], [str(addresses6.pop()) for _ in range(3)]
        server: dict[str, Any] = {
            "name": name,
            "kind": kind,
            "plan": draw(st.sampled_from(sorted(plans))),
            "infrastructure": draw(st.sampled_from(["2022", "11.10", "no", "buster"])),
            "management_address": draw(st.sampled_from([own[0][0], own[1][0]])),
        }
        server |= {"site": draw(st.sampled_from(sorted(sites)))} if with_sites else {}
        server |= {"customer": draw(st.sampled_from(sorted(customers)))} if kind in ("vps", "dedicated") else {}
        server |= {"lan_address": draw(st.sampled_from(own[0]))} if draw(st.booleans()) else {}
        server |= {"lan_address6": draw(st.sampled_from(own[1]))} if draw(st.booleans()) else {}
        server["service_addresses"] = sorted(draw(st.sets(st.sampled_from([*own[0], *own[1]]))))
        server |= (
            {"host_key": f"ssh-ed25519 {draw(st.text('AZaz09+/', min_size=4, max_size=9))}"}
            if draw(st.booleans())
            else {}
        )
        made.append(server)
    sizes = st.integers(1, 1 << 50).map(str) | st.sampled_from(["512 MiB", "4 GiB", "80 GB", "2 TiB"])
    return text.read(
        text.yaml.safe_dump(
            {
                "sites": [{"name": name} for name in sorted(sites)] if with_sites else [],
                "plans": [
                    {
                        "name": name,
                        "cpus": str(draw(st.integers(1, 512))),
                        "memory": draw(sizes),
                        "disk": draw(sizes),
                        "prices": draw(_prices()),
                    }
                    for name in sorted(plans)
                ],
                "customers": [
                    {"name": name} | ({"mail": "a@example.net"} if draw(st.booleans()) else {})
                    for name in sorted(customers)
                ],
                "servers": made,
                "zones": [
                    {"name": f"{name}.example", "primary_server": "192.0.2.53", "key_connection": name}
                    for name in sorted(draw(st.sets(_LABELS, max_size=2)))
                ],
            },
            allow_unicode=True,
        )
    )  # fmt: skip
