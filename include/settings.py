"""Ops' settings: what config/settings.toml says. Days, reminders and times stand there and nowhere else."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from include.registry.database import RegistryRefused

FILE = Path(__file__).parents[1] / "config" / "settings.toml"


@dataclass(frozen=True)
class Settings:
    """`time_zone`: the host's, by its IANA name; days are dates there. `run_at_minute`: the minute after midnight at
    which the nightly run of billing starts. `free_days`: of a lease. `remind_before_charges`: on which days before
    the end of the free days the customer is told of it (0: on the day itself). `remind_before_deadline`: how many days
    before the deadline of a catalogue's entry customers are told of it. `test_days`: how long a test copy stays."""

    time_zone: str
    run_at_minute: int = 15
    free_days: int = 7
    remind_before_charges: tuple[int, ...] = (2, 1, 0)
    remind_before_deadline: tuple[int, ...] = (30, 7, 1)
    test_days: int = 14

    def today(self) -> date:
        """The date now, where the host is."""
        return datetime.now(ZoneInfo(self.time_zone)).date()

    def test_expiry(self, now: datetime | None = None) -> datetime:
        """When a test that is ready now expires."""
        return (now or datetime.now(UTC)) + timedelta(days=self.test_days)


_WHOLE = {"run_at_minute": (0, 24 * 60 - 1), "free_days": (0, 365), "test_days": (1, 365)}
_DAYS = {"remind_before_charges": (0, 365), "remind_before_deadline": (1, 365)}


def read_settings(file: Path = FILE) -> Settings:
    """What the file says. Raises `RegistryRefused` with a sentence when it says something impossible."""
    try:
        values = tomllib.loads(file.read_text())
        lists = {name: tuple(values[name]) for name in _DAYS if isinstance(values.get(name), list)}
        settings = Settings(**values | lists)
        ZoneInfo(settings.time_zone)
    except (TypeError, ValueError, KeyError) as error:
        raise RegistryRefused(f"{file.name} cannot be used ({error}): correct it.") from error
    for name, (least, most) in _WHOLE.items():
        if not _is_whole(getattr(settings, name), least, most):
            raise RegistryRefused(f"{file.name}: {name} is a whole number from {least} to {most}: correct it.")
    for name, (least, most) in _DAYS.items():
        days = getattr(settings, name)
        if not isinstance(days, tuple) or not all(_is_whole(day, least, most) for day in days):
            raise RegistryRefused(f"{file.name}: {name} is a list of whole numbers from {least} to {most}: correct it.")
        if len(set(days)) < len(days):
            raise RegistryRefused(f"{file.name}: {name} has a number twice: give each once.")
    return settings


def _is_whole(number: object, least: int, most: int) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and least <= number <= most
