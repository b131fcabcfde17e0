"""Tools to compare with, as Debian has them: fetched once, kept in the lab's cache, installed on a server."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

from benchmarks.stage import Machine
from lab import base
from lab.say import LabError
from lab.state import CACHE, run


def install(machine: Machine, package: str) -> None:
    """Installs a package that was fetched, with what it needs."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for path in fetch(machine.infrastructure, package):
            tar.add(path, path.name)
    folder = f"/var/tmp/{package}"
    machine.root(["mkdir", "-p", folder])
    machine.root(["tar", "-xf", "-", "-C", folder], made.getvalue())
    machine.script(f"DEBIAN_FRONTEND=noninteractive dpkg -i {folder}/*.deb; rm -r {folder}")


def fetch(infrastructure: str, package: str) -> list[Path]:
    """The files of the package and of what the servers of this infrastructure lack for it; kept once they are here.

    Call it where Debian's archive can be reached, the first time. Raises LabError when it cannot be had.
    """
    tree = base.path(infrastructure)
    cached = CACHE / "tools" / f"{tree.name}-{package}"
    if not cached.is_dir():
        work = cached.with_name(f".{cached.name}")
        shutil.rmtree(work, ignore_errors=True)
        for folder in ("state/lists/partial", "cache/archives/partial"):
            (work / folder).mkdir(parents=True)
        settings = {
            "Dir::State": work / "state",
            "Dir::State::status": tree / "var/lib/dpkg/status",
            "Dir::Cache": work / "cache",
            "Dir::Etc::sourcelist": tree / "etc/apt/sources.list",  # where the tree itself came from
            "Dir::Etc::sourceparts": "-",
        }
        apt = ["apt-get", "-qq", *(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))]
        run([*apt, "update"])
        run([*apt, "install", "-y", "--download-only", "--no-install-recommends", package])
        (work / "cache/archives").rename(cached)
        shutil.rmtree(work)
    packages = sorted(cached.glob("*.deb"))
    if not packages:
        raise LabError(f"Debian gave no package {package}: remove {cached} and try again.")
    return packages
