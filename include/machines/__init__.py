"""Installs, reinstalls and wipes servers. `Machines` is the interface; `LxcMachines` does it with LXC."""

from include.machines.interface import Installed, MachineError, Machines, MachineSpec
from include.machines.lxc import LxcMachines

__all__ = ["Installed", "LxcMachines", "MachineError", "MachineSpec", "Machines"]
