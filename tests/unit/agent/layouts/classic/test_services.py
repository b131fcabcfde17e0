"""Which services a host's own server is asked for: those that the host has switched on."""

from pathlib import Path

import pytest

from include.agent.layouts import classic


def test_what_the_host_has_switched_off_is_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_host, by_packages = tmp_path / "etc", tmp_path / "usr"
    monkeypatch.setattr(classic, "_UNITS", (str(by_host), str(by_packages)))
    (by_host / "multi-user.target.wants").mkdir(parents=True)
    by_packages.mkdir()
    for name in ("apache2", "nginx"):
        (by_packages / f"{name}.service").touch()
    (by_host / "multi-user.target.wants" / "apache2.service").symlink_to(by_packages / "apache2.service")
    (by_host / "transhumance-front.service").touch()
    assert [*filter(classic._is_wanted, classic._MAY_BE)] == ["transhumance-front", "apache2"]
