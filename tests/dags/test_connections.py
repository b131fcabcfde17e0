"""What Airflow's connections lack is told in a sentence."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from include import registry
from transhumance_airflow import connections


@pytest.mark.parametrize("lacks", ["host", "login", "password"])
def test_a_zone_without_its_server_or_its_key_is_refused(lacks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {"host": "192.0.2.53", "login": "transhumance", "password": "AAAA", "extra_dejson": {"zone": "example"}}
    kept = SimpleNamespace(**whole | {lacks: None})
    monkeypatch.setattr(connections.BaseHook, "get_connection", lambda conn_id: kept)
    with pytest.raises(registry.RegistryRefused, match="The connection names lacks its host .* fill it in"):
        connections.names()
