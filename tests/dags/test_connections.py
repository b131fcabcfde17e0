"""What Airflow's connections lack is told in a sentence."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException

from include import registry
from include.hosts.root_access import Access
from transhumance_airflow import connections


@pytest.mark.parametrize("lacks", ["host", "login", "password"])
def test_a_zone_without_its_server_or_its_key_is_refused(lacks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {"host": "192.0.2.53", "login": "transhumance", "password": "AAAA", "extra_dejson": {"zone": "example"}}
    kept = SimpleNamespace(**whole | {lacks: None})
    monkeypatch.setattr(connections.BaseHook, "get_connection", lambda conn_id: kept)
    with pytest.raises(registry.RegistryRefused, match="The connection names lacks its host .* fill it in"):
        connections.names()


@pytest.fixture
def agents_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The key by which Airflow reaches every agent."""
    key = tmp_path / "agent"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    agent = {"conn_type": "ssh", "login": "root", "extra": {"key_file": str(key)}}
    monkeypatch.setenv("AIRFLOW_CONN_TRANSHUMANCE_AGENT", json.dumps(agent))
    return key


ASKED = {"server": "web-1", "access": "web_root", "host_key": None, "requested_by": "anna"}


def test_an_access_is_read_from_its_connection(hosting, agents_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    access = {"conn_type": "ssh", "login": "admin", "password": "secret", "port": 2222}
    monkeypatch.setenv("AIRFLOW_CONN_WEB_ROOT", json.dumps(access))
    asked = connections.enrolment(hosting.conn, ASKED)
    assert asked.access == Access("10.20.0.31", "admin", 2222, "secret")
    assert agents_key.with_suffix(".pub").read_text().startswith(asked.public_key + " ")
    assert "secret" not in repr(asked)


def test_an_access_that_nobody_made_is_told(hosting, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(ssh_conn_id: str, **_: str) -> None:
        raise AirflowNotFoundException(f"The conn_id `{ssh_conn_id}` isn't defined")

    monkeypatch.setattr(connections, "SSHHook", missing)
    with pytest.raises(registry.RegistryRefused, match="make an SSH connection of that id"):
        connections.enrolment(hosting.conn, ASKED)
