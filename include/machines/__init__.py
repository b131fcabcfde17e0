"""Installs, reinstalls and wipes servers. `Machines` is the interface; `DRIVERS` are those who do it, by name."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from include.machines.interface import Installed, MachineError, Machines, MachineSpec
from include.machines.lxc import LxcMachines

DRIVERS: Mapping[str, Callable[..., Machines]] = {"lxc": LxcMachines}
"""Each takes its settings by name."""


def driver(kind: str, settings: Mapping[str, Any]) -> Machines:
    """The driver of that kind with these settings. Raises MachineError where there is none, or it has others."""
    if kind not in DRIVERS:
        raise MachineError(f"There is no kind of machines {kind!r:.60}: use {' or '.join(DRIVERS)}.")
    make = DRIVERS[kind]
    try:
        inspect.signature(make).bind(**settings)
    except TypeError as error:
        raise MachineError(f"These are no settings of the machines of kind {kind} ({error}): correct them.") from None
    return make(**settings)


__all__ = ["DRIVERS", "Installed", "LxcMachines", "MachineError", "MachineSpec", "Machines", "driver"]
