"""What of a server a move needs, as the agent tells it: whatever lies on the server, the telling has its shape."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from include.agent import readiness
from include.agent.channel import pairing
from include.agent.host import codec
from include.agent.host.system import refuse
from include.agent.layouts import haproxy
from include.agent.move import stores
from include.agent.stores.followed import WhyNot
from include.agent.verbs.described import Readiness

LINKS = [
    {
        "ifname": "lo",
        "addr_info": [{"local": "127.0.0.1", "scope": "host"}, {"local": "198.51.100.1", "scope": "global"}],
    },
    {"ifname": "eth0", "addr_info": [{"local": "fe80::1", "scope": "link"}, {"local": "fd30::11", "scope": "global"}]},
    {"ifname": "down"},
]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server whose databases answer as each test says."""
    monkeypatch.setattr(readiness, "run", lambda *_, **__: SimpleNamespace(stdout=json.dumps(LINKS).encode()))
    monkeypatch.setattr(haproxy, "PEERS", tmp_path / "peers.lst")
    monkeypatch.setattr(pairing, "host_keys", lambda: ["ssh-ed25519 " + "A" * 68])
    for engine in stores.ENGINES:
        monkeypatch.setattr(type(engine), "unfollowed", lambda _self: None)
    return tmp_path


def test_what_is_told_has_its_shape(server: Path) -> None:
    told = codec.plain(readiness.readiness())
    assert codec.decode(Readiness, told) == told
    assert told["addresses"] == ["198.51.100.1", "fd30::11"] and told["fronts"] == [] and told["unfollowed"] == {}


def test_a_hosts_own_lines_are_no_networks(server: Path) -> None:
    (server / "peers.lst").write_bytes(b"# fronts\n10.20.0.0/24 # here\nfd20::/64\n10.9.0.7\n\xff\nnobody\n\n")
    assert readiness.readiness()["fronts"] == ["10.20.0.0/24", "fd20::/64", "10.9.0.7/32"]


def test_a_host_key_of_another_kind_is_none(server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairing, "host_keys", lambda: ["BEGIN \x1b[2K"])
    assert readiness.readiness()["host_keys"] == []


def test_why_databases_are_not_followed_is_said_by_each_engine(server: Path, monkeypatch) -> None:
    """By the very words of the test of an account; one that does not answer is not judged."""
    postgresql, mariadb = stores.ENGINES
    monkeypatch.setattr(type(postgresql), "unfollowed", lambda _self: WhyNot("it writes no log", "type this"))
    monkeypatch.setattr(type(mariadb), "unfollowed", lambda _self: refuse("down", "It does not answer."))
    assert readiness.readiness()["unfollowed"] == {"postgresql": "it writes no log: type this."}
