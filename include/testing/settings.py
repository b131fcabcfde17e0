"""Ops' settings: what config/tests.toml says."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from include.registry import Refused

FILE = Path(__file__).parents[2] / "config" / "tests.toml"


@dataclass(frozen=True)
class Settings:
    """For how many days a test copy stays."""

    test_days: int

    def expiry(self, now: datetime | None = None) -> datetime:
        """When a test that is ready now expires."""
        return (now or datetime.now(UTC)) + timedelta(days=self.test_days)


def read_settings(file: Path = FILE) -> Settings:
    """What the file says. Raises `Refused` with a sentence when it says something impossible."""
    try:
        settings = Settings(**tomllib.loads(file.read_text()))
    except (TypeError, ValueError) as error:
        raise Refused(f"{file.name} cannot be used ({error}): correct it.") from error
    if not isinstance(settings.test_days, int) or not 1 <= settings.test_days <= 365:
        raise Refused(f"{file.name}: test_days is a whole number from 1 to 365: correct it.")
    return settings
