"""A stock server that has nothing of ours is enrolled over its host's own access, doctored and upgraded."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include import registry
from include.agent.host import entrance
from include.hosts import Host, agent_digest
from include.hosts.root_access import Access, NotEnrolled, fingerprint
from include.moves import doctor, upgrade
from include.moves.enrol import Enrolment, enrol_existing
from include.registry.schema import upgrade as upgrade_schema
from lab import postgres, state

DATABASE = "enrolment"
KEYS = b"# Les cl\xe9s de l'h\xf4te\r\n%s root of the host"
"""The host's own: another encoding, no end of the last line."""


@dataclass
class Fleet:
    """Two servers of the registry: `stock` knows nothing of the orchestrator, `ours` was installed by it."""

    lab: Any
    conn: psycopg.Connection
    stock: Any
    ours: Any
    root_key: Path

    def agent_of(self, server: registry.Server) -> Host:
        return Host.connect(server.management_address, str(self.lab.ops_key), registry.certain(server.host_key))

    def reach(self, name: str) -> Host:
        return self.agent_of(registry.server(self.conn, name))

    def enrol(self, host_key: str | None = None) -> list[str]:
        access = Access(self.stock.address, key_file=str(self.root_key))
        asked = Enrolment(self.stock.name, access, state.public_key("ops"), host_key, "ops")
        return enrol_existing(self.conn, asked, self.agent_of)

    def judged(self, name: str) -> dict[str, str | None]:
        found = registry.judged_requirements(self.conn, name)
        return {each.requirement: None if each.met else each.sentence for each in found}


@pytest.fixture(scope="module")
def fleet(lab, tmp_path_factory) -> Iterator[Fleet]:
    root_key = tmp_path_factory.mktemp("host") / "root"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root_key)], check=True)
    with psycopg.connect(postgres.dsn("postgres", "postgres"), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0")
        try:
            dsn = postgres.dsn(DATABASE, "postgres")
            upgrade_schema(dsn)
            with psycopg.connect(dsn, autocommit=True) as conn, lab.fresh("2022", "2026") as (stock, ours):
                registry.add_plan(conn, "M", Decimal("20"), "EUR", 2, 4 << 30, 80 << 30)
                for one, infrastructure in ((stock, "2022"), (ours, "2026")):
                    spec = one.spec
                    addresses = spec.management_address, spec.lan_address, spec.lan_address6
                    registry.add_server(conn, one.name, "shared", "M", infrastructure, None, *addresses)
                    for ip in one.server.ips:
                        registry.add_ip(conn, ip, one.name)
                registry.enrol_server(conn, ours.name, "2026", ours.installed.host_key, {})
                fleet = Fleet(lab, conn, stock, ours, root_key)
                make_stock(fleet)
                yield fleet
        finally:
            admin.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")


def make_stock(fleet: Fleet) -> None:
    """Take away what the lab's installation has laid down of ours."""

    def root(*argv: str, stdin: bytes | None = None) -> str:
        return fleet.lab.root(fleet.stock.name, argv, stdin=stdin)

    root("rm", "-rf", str(Path(entrance.LAUNCHER).parent), "/etc/ssh/sshd_config.d/management.conf")
    key = fleet.root_key.with_suffix(".pub").read_bytes().split()
    root("tee", entrance.KEYS, stdin=KEYS % b" ".join(key[:2]))
    root("systemctl", "reload", "ssh")


def keys(fleet: Fleet) -> bytes:
    return fleet.lab.machines.execute(fleet.stock.name, ["cat", entrance.KEYS]).stdout


def test_another_host_key_than_a_person_has_compared_is_told_nothing(fleet: Fleet) -> None:
    before = keys(fleet)
    other = fingerprint(fleet.ours.installed.host_key)
    with pytest.raises(NotEnrolled, match="not the one that was given"):
        fleet.enrol(other)
    assert keys(fleet) == before
    assert registry.server(fleet.conn, fleet.stock.name).host_key is None


def test_what_cannot_be_written_is_said_before_anything_is(fleet: Fleet) -> None:
    before = keys(fleet)
    fleet.lab.root(fleet.stock.name, ["mount", "-t", "tmpfs", "-o", "ro", "none", "/usr/local/lib"])
    with pytest.raises(NotEnrolled, match="has a read-only file system at /usr/local/lib"):
        fleet.enrol()
    fleet.lab.root(fleet.stock.name, ["umount", "/usr/local/lib"])
    assert keys(fleet) == before


def test_a_stock_server_is_enrolled_and_keeps_what_it_has(fleet: Fleet) -> None:
    before, name = keys(fleet), fleet.stock.name
    said = fleet.enrol()
    assert said[0] == f"{name} is enrolled; its host key is {fingerprint(fleet.stock.installed.host_key)}."
    assert [f"Written there: {path}." for path in (entrance.LAUNCHER, entrance.KEYS)] == said[1:3]
    ours = f'restrict,command="{entrance.LAUNCHER}" {" ".join(state.public_key("ops").split()[:2])}\n'
    assert keys(fleet) == before + b"\n" + ours.encode()
    record = registry.server(fleet.conn, name)
    assert record.host_key == fleet.stock.installed.host_key and record.versions["postgresql"].startswith("15.")
    assert fleet.reach(name).agent_digest() == agent_digest()
    again = fleet.enrol(fingerprint(fleet.stock.installed.host_key))
    assert again[0] == said[0] and "Written" not in " ".join(again) and keys(fleet).endswith(ours.encode())


def test_the_doctor_says_what_to_type_and_what_is_typed_helps(fleet: Fleet) -> None:
    name = fleet.stock.name
    doctor.examine(fleet.conn, fleet.reach, name)
    unmet = {requirement: why for requirement, why in fleet.judged(name).items() if why is not None}
    assert {*unmet} - {"room"} == {"sessions"}, unmet
    assert "write MaxSessions 60 into /etc/ssh/sshd_config.d/" in (unmet["sessions"] or "")
    settings = b"MaxSessions 60\nMaxStartups 100\n"
    fleet.lab.root(name, ["tee", "/etc/ssh/sshd_config.d/transhumance.conf"], stdin=settings)
    fleet.lab.root(name, ["systemctl", "reload", "ssh"])
    fleet.lab.root(name, ["systemctl", "stop", "dovecot"])
    doctor.examine(fleet.conn, fleet.reach, name)
    unmet = {requirement: why for requirement, why in fleet.judged(name).items() if why is not None}
    assert {*unmet} - {"room"} == {"services"} and "does not run dovecot" in (unmet["services"] or "")
    fleet.lab.root(name, ["systemctl", "start", "dovecot"])


def test_an_agent_is_upgraded_while_an_operation_runs_elsewhere(fleet: Fleet) -> None:
    busy, idle = fleet.stock.name, fleet.ours.name
    upgrade.upgrade(fleet.conn, fleet.reach)
    for name in (busy, idle):
        # A newer release of the orchestrator has other bytes; these are another release's to this one.
        fleet.lab.root(name, ["sh", "-c", "printf ' ' >> /usr/local/lib/transhumance/agent.pyz"])
    operation = "transhumance-op-m1-e2-copy.service"
    fleet.lab.root(busy, ["systemd-run", "--quiet", f"--unit={operation}", "sleep", "300"])
    with pytest.raises(registry.RegistryRefused, match=r"1 of 2 servers have not taken the agent.*m1-e2-copy"):
        upgrade.upgrade(fleet.conn, fleet.reach)
    assert fleet.reach(idle).agent_digest() == agent_digest() != fleet.reach(busy).agent_digest()
    assert "m1-e2-copy" in (fleet.judged(busy)["agent"] or "") and fleet.judged(idle)["agent"] is None
    fleet.lab.root(busy, ["systemctl", "stop", operation])
    assert "m1-e2-copy" not in upgrade.upgrade(fleet.conn, fleet.reach)
    assert fleet.reach(busy).agent_digest() == agent_digest()
