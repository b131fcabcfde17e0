"""What the demo begins with: servers of our own infrastructures, or those that a host has made by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from lab import airflow
from lab.accounts import Filled
from lab.demo import own, stage
from lab.say import step

Given = ParamSpec("Given")
Made = TypeVar("Made")


@dataclass
class Timed:
    """Calls what sets the stage; `steps`: each with the seconds that it took."""

    steps: list[tuple[str, float]] = field(default_factory=list)

    def __call__(
        self, name: str, function: Callable[Given, Made], *arguments: Given.args, **named: Given.kwargs
    ) -> Made:
        began = time.monotonic()
        made = function(*arguments, **named)
        self.steps.append((name, time.monotonic() - began))
        return made


@dataclass(frozen=True)
class Layout:
    """`entry`: the migration that the customer wants. `set_up`: everything that is there before the first visitor
    comes. `first_day`: what the host does then, while they come and go."""

    name: str
    entry: str
    set_up: Callable[[Timed], dict[str, Filled]]
    first_day: Callable[[Timed], None]


def _native(timed: Timed) -> dict[str, Filled]:
    with ThreadPoolExecutor() as pool:
        airflow_up = pool.submit(timed, "Airflow", _airflow)
        timed("registry", stage.write_registry)
        tests = pool.submit(timed, "install and enrol the test server", stage.install, stage.TEST, stage.NEW)
        key = timed("install and enrol the original", stage.install_original)
        filled = timed("create and fill the accounts", stage.fill_original, key)
        timed("names", stage.write_names, filled, key)
        airflow_up.result()
        tests.result()
    return filled


def _classic(timed: Timed) -> dict[str, Filled]:
    with ThreadPoolExecutor() as pool:
        airflow_up = pool.submit(timed, "Airflow", _airflow)
        timed("registry", stage.write_catalogue, own.ENTRY, own.OLD, own.NEW)
        filled = timed("install and fill the host's server", own.install_and_fill)
        airflow_up.result()
    return filled


def _first_day(timed: Timed) -> None:
    timed("the first day", own.follow_the_page)
    timed("install and enrol the test server", stage.install, stage.TEST, own.NEW)


def _airflow() -> None:
    with step("Airflow is up"):
        airflow.up()


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("native", stage.ENTRY, _native, lambda _: None),
        Layout("classic", own.ENTRY, _classic, _first_day),
    )
}
