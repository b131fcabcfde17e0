"""Infrastructures: what the servers of each run.

A file of `config/infrastructures/` declares one; its stem is its name. A new one is that file, and where its layout is
ours (`native`) a folder of files for its servers, `infrastructure/NAME`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pkgutil import iter_modules

from include.agent import layouts
from include.agent.account.engines import ENGINES
from include.catalogue.reading import read

FOLDER = Path(__file__).parents[2] / "config" / "infrastructures"
PROGRAMS = (*ENGINES, "php")
LAYOUTS = tuple(module.name for module in iter_modules(layouts.__path__) if module.ispkg)


@dataclass(frozen=True)
class Infrastructure:
    """What a server runs: a Debian release, and the versions of the programs on it.

    `debian` is a release ("13") and `suite` its name in Debian's archive; `programs`: their versions ("11.8"). `layout`
    says who serves there, and where an account's parts lie: an account stays within one."""

    name: str
    layout: str
    debian: str
    suite: str
    programs: Mapping[str, str]
    sshd: str
    """A line for sshd's configuration, or nothing; {network} in it is the management network."""
    packages: tuple[str, ...]
    """Debian's packages that its servers are installed with."""

    def unlike(self, debian: str, versions: Mapping[str, str]) -> list[str]:
        """What a server of this infrastructure runs otherwise than declared: "Debian 12, not 13"."""
        programs = {"Debian": (self.debian, debian)}
        programs |= {name: (declared, versions.get(name, "")) for name, declared in self.programs.items()}
        return [
            f"{name} {runs or 'of no known version'}, not {declared}"
            for name, (declared, runs) in programs.items()
            if not f"{runs}.".startswith(f"{declared}.")
        ]


def load(folder: Path | None = None) -> dict[str, Infrastructure]:
    """Every infrastructure by its name. Raises `CatalogueError` with file, line and a sentence."""
    return {path.stem: _read(path) for path in sorted((folder or FOLDER).glob("*.yaml"))}


def _read(path: Path) -> Infrastructure:
    required = {"layout", "debian", "suite", *PROGRAMS}
    fields = read(path).fields({*required, "sshd", "packages"}, required)
    return Infrastructure(
        name=path.stem,
        layout=fields["layout"].one_of(LAYOUTS),
        debian=fields["debian"].text(),
        suite=fields["suite"].text(),
        programs={name: fields[name].text() for name in PROGRAMS},
        sshd=fields["sshd"].text() if "sshd" in fields else "",
        packages=tuple(fields["packages"].text().split()) if "packages" in fields else (),
    )
