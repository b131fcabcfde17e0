"""What ops can set, and what they cannot."""

import tomllib
from dataclasses import fields

import pytest

from include.registry.database import RegistryRefused
from include.settings import FILE, Settings, read_settings

ZONE = 'time_zone = "Europe/Paris"\n'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "time_zone =",
        'time_zone = "Mars/Base"',
        "time_zone = 3",
        f"{ZONE}days = 3",
        f"{ZONE}test_days = 0",
        f"{ZONE}test_days = 'x'",
        f"{ZONE}free_days = -1",
        f"{ZONE}free_days = 366",
        f"{ZONE}free_days = true",
        f"{ZONE}free_days = 7.5",
        f"{ZONE}run_at_minute = 1440",
        f"{ZONE}remind_before_charges = 2",
        f"{ZONE}remind_before_charges = [2, -1]",
        f"{ZONE}remind_before_charges = [2, 2]",
        f"{ZONE}remind_before_charges = ['two']",
        f"{ZONE}remind_before_deadline = [0]",
        f"{ZONE}remind_before_deadline = 'x'",
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, text):
    file = tmp_path / "settings.toml"
    file.write_text(text)
    with pytest.raises(RegistryRefused, match=r"^settings\.toml.*: correct it\.|give each once"):
        read_settings(file)


def test_the_settings_that_ship_can_be_read_and_say_all_of_it(tmp_path):
    assert isinstance(read_settings(), Settings)
    assert set(tomllib.loads(FILE.read_text())) == {field.name for field in fields(Settings)}
    file = tmp_path / "settings.toml"
    file.write_text(ZONE)
    assert read_settings(file) == Settings("Europe/Paris")


def test_free_days_and_reminders_are_a_line_each(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text(f"{ZONE}free_days = 14\nremind_before_charges = [7, 2, 1, 0]\nremind_before_deadline = []\n")
    settings = read_settings(file)
    assert (settings.free_days, settings.remind_before_charges, settings.remind_before_deadline) == (
        14,
        (7, 2, 1, 0),
        (),
    )
