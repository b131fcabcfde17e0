"""What a server has to have for a move: each requirement, met, and not met by one sentence that says what to do."""

from __future__ import annotations

import ast
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include.catalogue import infrastructures
from include.moves.requirements import REQUIREMENTS, Seen, judge, unfit
from include.registry import Server

REPOSITORY = Path(__file__).parents[3]
KEY = "ssh-ed25519 " + "A" * 68
WELL: dict[str, Any] = {
    "debian": "13",
    "versions": {
        "rsync": "3.5.0+ds1-0+deb12u1",
        "python": "3.13.5",
        **{name: f"{wanted}.6" for name, wanted in infrastructures.load()["2026"].programs.items()},
    },
    "services_down": [],
    "disk": {"total_bytes": 100 << 30, "free_bytes": 50 << 30},
    "readiness": {
        "time": 1.0,
        "sshd": {
            "permitrootlogin": "without-password",
            "pubkeyauthentication": "yes",
            "authorizedkeysfile": ".ssh/authorized_keys .ssh/authorized_keys2",
            "authenticationmethods": "any",
            "forcecommand": "none",
            "maxsessions": "60",
            "maxstartups": "100:30:100",
        },
        "host_keys": [KEY],
        "addresses": ["10.20.0.11", "10.30.0.11", "fd30::11"],
        "missing_programs": [],
        "unfollowed": {},
        "fronts": ["10.20.0.0/24"],
        "no_front": [],
        "steps": [],
        "wrong_steps": [],
    },
}
SERVER = Server(
    name="web-1",
    kind="shared",
    plan="M",
    infrastructure="2026",
    customer=None,
    management_address="10.20.0.11",
    lan_address="10.30.0.11",
    lan_address6="fd30::11",
    state="serving",
    state_since=datetime(2026, 1, 1, tzinfo=UTC),
    host_key=KEY,
    versions={},
    description=None,
    described_at=None,
    paused_because=None,
    reserved_for=None,
    keep_host_keys=True,
    site=None,
)
IPS, FRONTS = ("198.51.100.11", "2001:db8:100::11"), ("10.20.0.11", "10.20.0.12")
SEEN = Seen("web-1", "2026", WELL, SERVER, 0.0, IPS, FRONTS)


def with_ready(**more: Any) -> Seen:
    return replace(SEEN, description={**WELL, "readiness": {**WELL["readiness"], **more}})


def with_sshd(**more: str) -> Seen:
    return with_ready(sshd={**WELL["readiness"]["sshd"], **more})


def said(**more: Any) -> Seen:
    return replace(SEEN, description={**WELL, **more})


def versions(**more: str) -> Seen:
    return said(versions={**WELL["versions"], **more})


def own(**more: Any) -> Seen:
    """A server of the host's own."""
    return replace(said(layout="classic", readiness={**WELL["readiness"], **more}), infrastructure="2026-classic")


UNMET = [
    ("infrastructure", said(debian="12"), "it runs Debian 12, not 13. Install it again."),
    ("infrastructure", replace(SEEN, infrastructure="2031"), "write config/infrastructures/2031.yaml"),
    ("layout", said(layout="classic"), "has the layout classic, and infrastructure 2026 is native"),
    (
        "layout",
        replace(said(layout="native", services_down=["haproxy", "nginx"]), infrastructure="2026-classic"),
        "web-1 is not prepared for moves: type python -m cli prepare web-1",
    ),
    (
        "front",
        own(no_front=["A front needs nft: install it.", "And more."]),
        "web-1 can have no front: A front needs nft",
    ),
    (
        "steps",
        with_ready(wrong_steps=["There is /etc/close, and no /etc/open: put it there."]),
        "web-1: There is /etc/cl",
    ),
    ("fronts", own(fronts=["10.20.0.8/30"]), "passes on: type python -m cli prepare web-1."),
    ("services", said(layout="native", services_down=["cron"]), "does not run cron"),
    ("services", said(services_down=["dovecot", "cron"]), "does not run dovecot, cron"),
    ("python", versions(python="3.9.2"), "Python 3.9.2, and the agent needs 3.11 or later"),
    ("rsync", versions(rsync="3.2.7"), "install 3.5.0 or later"),
    ("rsync", versions(rsync=""), "install 3.5.0 or later"),
    ("programs", with_ready(missing_programs=["nft", "ss"]), "lacks nft, ss: install"),
    ("sshd", with_ready(sshd={}), "type sshd -t there"),
    ("sshd", with_sshd(permitrootlogin="no"), "PermitRootLogin prohibit-password"),
    ("sshd", with_sshd(pubkeyauthentication="no"), "PubkeyAuthentication yes"),
    ("sshd", with_sshd(authorizedkeysfile="/etc/ssh/keys/%u"), "AuthorizedKeysFile .ssh/authorized_keys"),
    ("sshd", with_sshd(authenticationmethods="publickey,password"), "AuthenticationMethods publickey"),
    ("sshd", with_sshd(forcecommand="/usr/bin/gate"), "ForceCommand none"),
    ("sessions", with_sshd(maxsessions="10"), "has MaxSessions 10, too few for a move: write MaxSessions 60"),
    ("sessions", with_sshd(maxstartups="10:30:100"), "write MaxStartups 100"),
    ("host key", with_ready(host_keys=[]), "type ssh-keygen -A"),
    ("host key", with_ready(host_keys=[KEY.replace("A", "B")]), "another ed25519 host key"),
    ("clock", replace(SEEN, clock_ahead=40.2), "40 s ahead of the orchestrator's: type timedatectl"),
    ("clock", replace(SEEN, clock_ahead=-3.0), "3 s behind"),
    ("addresses", with_ready(addresses=["10.20.0.11", "10.30.0.11"]), "does not have fd30::11, its IPv6 next hop"),
    ("addresses", replace(SEEN, unfit_addresses=("web-1 has no IPv6 LAN address: give it one.",)), "no IPv6 LAN"),
    ("fronts", with_ready(fronts=["10.20.0.8/30"]), "that at 10.20.0.12 passes on: add that network"),
    ("room", said(disk={"total_bytes": 100 << 30, "free_bytes": 4 << 30}), "4.3 GB free of 107.4"),
    ("postgresql", with_ready(unfollowed={"postgresql": "PostgreSQL here writes no log of rows: let."}), "no log of"),
    ("mariadb", with_ready(unfollowed={"mariadb": "MariaDB here keeps no binary log: let."}), "while visitors wait"),
]


def test_a_server_that_has_all_of_it_is_told_so() -> None:
    assert unfit(SEEN) == [] and all(each.met for each in judge(SEEN))
    assert [each.requirement for each in judge(SEEN)] == [requirement.name for requirement in REQUIREMENTS]


@pytest.mark.parametrize(("name", "seen", "sentence"), UNMET)
def test_what_is_not_met_is_one_sentence_that_says_what_to_do(name: str, seen: Seen, sentence: str) -> None:
    unmet = {each.requirement: each.sentence for each in judge(seen) if not each.met}
    assert list(unmet) == [name] and sentence in unmet[name]
    assert unmet[name].endswith(".") and unmet[name].isprintable() and "\n" not in unmet[name]
    refuses = next(requirement.refuses for requirement in REQUIREMENTS if requirement.name == name)
    assert unfit(seen) == ([unmet[name]] if refuses else [])


def test_which_steps_the_host_does_itself_is_told() -> None:
    def told(seen: Seen) -> str:
        return next(each.sentence for each in judge(seen) if each.requirement == "steps")

    assert told(with_ready(steps=["provision", "open"])) == "The host's own programs do provision, open here."
    assert told(SEEN) == "No step is done by the host itself."


def test_every_requirement_is_tried() -> None:
    assert {name for name, _, _ in UNMET} == {requirement.name for requirement in REQUIREMENTS}


def test_an_agent_of_before_is_judged_by_what_it_tells() -> None:
    told = {key: value for key, value in WELL.items() if key != "readiness"}
    assert unfit(replace(SEEN, description=told)) == []


def test_a_next_hop_that_the_registry_does_not_have_is_not_looked_for() -> None:
    """Which servers need one is said by the registry."""
    assert unfit(replace(SEEN, server=replace(SERVER, lan_address6=None))) == []


def test_no_code_knows_a_release_of_debian() -> None:
    """Which release an infrastructure runs stands in config/infrastructures alone."""
    releases = {word for one in infrastructures.load().values() for word in (one.debian, one.suite)}
    files = [path for folder in ("include", "plugins", "dags", "cli") for path in (REPOSITORY / folder).rglob("*.py")]
    named = []
    for path in files:
        nodes = [*ast.walk(ast.parse(path.read_text()))]
        widths = {
            id(part)
            for node in nodes
            if isinstance(node, ast.FormattedValue) and node.format_spec is not None
            for part in ast.walk(node.format_spec)
        }
        named += [
            (path.name, node.value)
            for node in nodes
            if isinstance(node, ast.Constant) and node.value in releases and id(node) not in widths
        ]
    assert len(files) > 100 and named == []
